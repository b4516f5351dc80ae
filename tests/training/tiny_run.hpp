// A run that trains in an instant: its text, its configuration, and what it leaves behind.
#pragma once

#include <stdlib.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include <burrow/core/key.hpp>

#include "gopher_model/training/run_directory.hpp"
#include "gopher_model/training/trainer.hpp"
#include "tests/io/same_tensors.hpp"

namespace gopher {

/// A directory for one test, with a text in it; removed at the end.
class Workplace {
 public:
  Workplace() {
    std::string name = (std::filesystem::temp_directory_path() / "gopher-training-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw burrow::IoError(name + " cannot be made");
    root_ = name;
    const std::string words[] = {"the ", "small ", "gopher ", "digs ",
                                 "a ",   "long ",  "burrow ", "at night.\n"};
    std::ofstream text(root_ / "text.txt");
    for (std::uint64_t i = 0; i < 900; ++i) text << words[burrow::Key{7}.bits(i) % std::size(words)];
  }
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;
  ~Workplace() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

  std::string operator/(const std::string& name) const { return (root_ / name).string(); }

  /// Eight steps of four sequences of sixteen tokens.
  RunConfiguration configuration(const std::string& run) const {
    RunConfiguration c;
    c.data = {*this / "text.txt"};
    c.size = {.layers = 2,
              .width = 16,
              .heads = 2,
              .head_width = 8,
              .feed_forward = 32,
              .vocabulary = 320,
              .context = 16};
    c.steps = 8;
    c.tokens = 0;
    c.batch_tokens = 64;
    c.micro_batch = 2;
    c.learning_rate = 1e-2;
    c.warmup_steps = 2;
    c.evaluate_every = 0;
    c.checkpoint_every = 0;
    c.keep = 0;
    c.log_every = 1;
    c.sample_tokens = 2;
    c.run = *this / run;
    return c;
  }

 private:
  std::filesystem::path root_;
};

/// The records of a run's metrics.jsonl of one kind; "" for all.
inline std::vector<nlohmann::json> records(const RunConfiguration& c, const std::string& kind = "") {
  std::vector<nlohmann::json> all;
  std::ifstream file(RunFiles{c.run}.metrics());
  for (std::string line; std::getline(file, line);) {
    const auto record = nlohmann::json::parse(line);
    if (kind.empty() || record.at("kind") == kind) all.push_back(record);
  }
  return all;
}

/// Takes what a run writes for people and, once `steps` steps are recorded, sends this process `signal`.
class Audience : public std::stringbuf {
 public:
  explicit Audience(const RunConfiguration& c, Index steps = 0, int signal = 0)
      : configuration_{c}, steps_{steps}, signal_{signal} {
    errors_ = std::cerr.rdbuf(this);
    output_ = std::cout.rdbuf(this);
  }
  ~Audience() override {
    std::cerr.rdbuf(errors_);
    std::cout.rdbuf(output_);
  }

 protected:
  std::streamsize xsputn(const char* text, std::streamsize count) override {
    if (signal_ != 0 && static_cast<Index>(records(configuration_, "step").size()) >= steps_)
      std::raise(std::exchange(signal_, 0));
    return std::stringbuf::xsputn(text, count);
  }

 private:
  const RunConfiguration& configuration_;
  Index steps_;
  int signal_;
  std::streambuf* errors_;
  std::streambuf* output_;
};

/// Trains and returns what was shown meanwhile.
inline std::string train_watched(const RunConfiguration& c, Index signal_after = 0, int signal = 0) {
  Audience audience{c, signal_after, signal};
  if (train(c) != 0) throw burrow::Error("train did not return 0");
  return audience.str();
}

}  // namespace gopher
