// Runs of the gopher program under mpirun, and what they leave behind.
#pragma once

#include <stdlib.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include <burrow/core/key.hpp>

#include "gopher_model/training/checkpoint_files.hpp"
#include "gopher_model/training/run_directory.hpp"

namespace mpi_program {

namespace fs = std::filesystem;
using burrow::Index;

/// What a command line ended with, and everything that it printed.
struct Outcome {
  int code;
  std::string text;
};

/// A folder for one test, with a text in it; removed at the end.
class Place {
 public:
  Place() {
    std::string name = (fs::temp_directory_path() / "gopher-mpi-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw fs::filesystem_error("mkdtemp", {});
    root_ = name;
    const std::string words[] = {"the ", "small ", "gopher ", "digs ",
                                 "a ",   "long ",  "burrow ", "at night.\n"};
    std::ofstream text(root_ / "text");
    for (std::uint64_t i = 0; i < 4000; ++i) text << words[burrow::Key{7}.bits(i) % std::size(words)];
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  fs::path operator/(const std::string& name) const { return root_ / name; }

  /// A line of shell, in this folder.
  Outcome shell(const std::string& line) const {
    std::ofstream(root_ / "script") << "cd '" << root_.string() << "'\n" << line << "\n";
    const std::string log = (root_ / "log").string();
    const int status = std::system(("sh '" + (root_ / "script").string() + "' > '" + log + "' 2>&1").c_str());
    std::stringstream text;
    text << std::ifstream(log).rdbuf();
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text.str()};
  }

  /// `gopher ...` on that many ranks; 0: without a launcher.
  Outcome gopher(int ranks, const std::string& arguments, const std::string& environment = "") const {
    return shell(environment + " " + command(ranks) + " " + arguments);
  }

  static std::string command(int ranks) {
    const std::string launcher =
        ranks == 0 ? "" : MPIRUN_PROGRAM " --oversubscribe --bind-to none -n " + std::to_string(ranks) + " ";
    return launcher + "'" GOPHER_PROGRAM "'";
  }

  /// Trains, and fails the test unless the program ends well.
  std::string train(int ranks, const std::string& run, const std::string& settings) const {
    const Outcome outcome = gopher(ranks, training(run, settings));
    INFO(outcome.text);
    REQUIRE(outcome.code == 0);
    return outcome.text;
  }

  /// Twenty steps of sixteen sequences, accumulated in micro-batches of two, clipped; or as `settings` say.
  static std::string training(const std::string& run, const std::string& settings = "") {
    std::string line =
        "train " + settings + " --run " + run + " --data text --evaluate-every 10 --sample-tokens 2";
    const std::pair<const char*, const char*> usual[] = {
        {"--layers", "2"},        {"--width", "16"},       {"--heads", "2"},     {"--head-width", "8"},
        {"--feed-forward", "32"}, {"--vocabulary", "320"}, {"--context", "16"},  {"--batch-tokens", "256"},
        {"--micro-batch", "2"},   {"--tokens", "0"},       {"--steps", "20"},    {"--learning-rate", "0.01"},
        {"--warmup-steps", "2"},  {"--clip", "0.5"},       {"--log-every", "1"}, {"--checkpoint-every", "5"},
        {"--keep", "0"}};
    for (const auto& [name, value] : usual)
      if (settings.find(std::string(name) + " ") == settings.npos)
        line += std::string(" ") + name + " " + value;
    return line;
  }

  std::vector<nlohmann::json> records(const std::string& run, const std::string& kind) const {
    std::vector<nlohmann::json> all;
    std::ifstream file(gopher::RunFiles{root_ / run}.metrics());
    for (std::string line; std::getline(file, line);) {
      const auto record = nlohmann::json::parse(line);
      if (record.at("kind") == kind) all.push_back(record);
    }
    return all;
  }

  /// A number of every record of a kind.
  std::vector<double> numbers(const std::string& run, const std::string& kind,
                              const std::string& name) const {
    std::vector<double> all;
    for (const auto& record : records(run, kind)) all.push_back(record.at(name).get<double>());
    return all;
  }

  /// A copy of a run that has its checkpoints up to `step` only.
  void copy_up_to(const std::string& run, const std::string& copy, Index step) const {
    fs::copy(root_ / run, root_ / copy, fs::copy_options::recursive);
    for (const auto& saved : gopher::RunFiles{root_ / copy}.checkpoints())
      if (saved.step > step) gopher::remove_checkpoint(saved.path);
  }

 private:
  fs::path root_;
};

/// Every number of one list within a relative distance of that of the other.
inline void check_close(const std::vector<double>& a, const std::vector<double>& b, double distance) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    CHECK(a[i] == Approx(b[i]).epsilon(distance));
  }
}

}  // namespace mpi_program
