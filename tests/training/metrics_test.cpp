// The record of a run: whole lines, and a resumed run's is that of an uninterrupted one.
#include "gopher_model/training/metrics.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>

#include "tests/io/file_size_limit.hpp"
#include "tests/io/temporary_directory.hpp"

namespace gopher::metrics_test {
namespace {

void write(const std::filesystem::path& path, std::string_view text) {
  std::ofstream{path, std::ios::binary} << text;
}

StepReport report_of(Index step) {
  StepReport report;
  report.step = step;
  report.tokens = 512 * step;
  report.loss = 4 - 0.125 * static_cast<double>(step);
  return report;
}

// Steps `from` to `to` of a run that evaluates every second and saves every third step.
void train(MetricsLog& log, Index from, Index to) {
  for (Index step = from; step <= to; ++step) {
    log.step(report_of(step));
    if (step % 2 == 0) log.evaluation({step, 512 * step, 3.5, 1.25, 2.0});
    if (step % 3 == 0) log.checkpoint(step, "checkpoints/step-" + std::to_string(step));
  }
}

std::string uninterrupted(const std::filesystem::path& path, Index steps) {
  MetricsLog log{path};
  train(log, 1, steps);
  return burrow::read_text(path);
}

}  // namespace

TEST_CASE("every record is one JSON object, in the file at once") {
  const TemporaryDirectory directory;
  const auto path = directory / "metrics.jsonl";
  MetricsLog log{path};
  StepReport report = report_of(7);
  report.skipped = 2;
  report.utilisation = 0.5;
  report.gradient_norm = std::numeric_limits<double>::infinity();
  log.step(report);
  log.evaluation({8, 4096, 3.5, 1.25, 2.0});
  log.checkpoint(9, "checkpoints/\xFFstep");
  std::istringstream lines{burrow::read_text(path)};
  std::vector<nlohmann::json> records;
  for (std::string line; std::getline(lines, line);) records.push_back(nlohmann::json::parse(line));
  REQUIRE(records.size() == 3);
  CHECK(records[0].at("kind") == "step");
  CHECK(records[0].at("step") == 7);
  CHECK(records[0].at("tokens") == 3584);
  CHECK(records[0].at("loss") == 3.125);
  CHECK(records[0].at("skipped") == 2);
  CHECK(records[0].at("utilisation") == 0.5);
  CHECK(records[0].at("gradient_norm").is_null());
  CHECK(records[1] == nlohmann::json{{"kind", "evaluation"},
                                     {"step", 8},
                                     {"tokens", 4096},
                                     {"loss", 3.5},
                                     {"bits_per_byte", 1.25},
                                     {"baseline_bits_per_byte", 2.0}});
  CHECK(records[2] ==
        nlohmann::json{{"kind", "checkpoint"}, {"step", 9}, {"path", "checkpoints/\uFFFDstep"}});
}

TEST_CASE("a run that dies at whatever byte and resumes has the records of an uninterrupted run") {
  const TemporaryDirectory directory;
  const std::string whole = uninterrupted(directory / "whole", 8);
  const auto path = directory / "metrics.jsonl";
  std::size_t end_of_sixth = 0;
  {
    MetricsLog log{directory / "six"};
    train(log, 1, 6);
    end_of_sixth = burrow::read_text(directory / "six").size();
  }
  for (std::size_t died = end_of_sixth; died <= whole.size(); ++died) {
    const bool at_line_end = whole[died - 1] == '\n' || whole[died] == '\n' || whole[died - 1] == '}';
    if (!at_line_end && died % 16 != 0) continue;  // each takes a sync of the disk
    write(path, std::string_view{whole}.substr(0, died));
    {
      MetricsLog log{path, 6};
      train(log, 7, 8);
    }
    REQUIRE(burrow::read_text(path) == whole);
  }
}

TEST_CASE("a line cut from its newline is whole, a torn one is dropped, even without its braces") {
  const TemporaryDirectory directory;
  const auto path = directory / "metrics.jsonl";
  const std::string first = "{\"kind\":\"step\",\"step\":1}\n";
  for (const std::string& torn : {std::string{"{"}, std::string{"{\"kind\":\"step\",\"step\":2"},
                                  std::string(40, '\0'), std::string{"\n"}, std::string{"{\"step\":\n"}}) {
    write(path, first + torn);
    const MetricsLog log{path, 100};
    CHECK(burrow::read_text(path) == first);
  }
  write(path, first.substr(0, first.size() - 1));
  const MetricsLog log{path, 1};
  CHECK(burrow::read_text(path) == first);
}

TEST_CASE("a run that starts anew keeps nothing, one that resumes nowhere keeps what came before") {
  const TemporaryDirectory directory;
  const auto path = directory / "metrics.jsonl";
  const std::string whole = uninterrupted(path, 4);
  {
    const MetricsLog log{path, 4};
    CHECK(burrow::read_text(path) == whole);
  }
  {
    const MetricsLog log{path, 0};
    CHECK(burrow::read_text(path).empty());
  }
  CHECK(uninterrupted(path, 4) == whole);
  const MetricsLog missing{directory / "none", 3};
  CHECK(burrow::read_text(directory / "none").empty());
}

TEST_CASE("a line within that is no record is named, and the file is left alone") {
  const TemporaryDirectory directory;
  const auto path = directory / "metrics.jsonl";
  for (const std::string line :
       {"what?", "[1]", "{\"kind\":\"step\"}", "{\"step\":1.5}", "{\"step\":\"1\"}"}) {
    const std::string text = "{\"step\":1}\n" + line + "\n{\"step\":3}\n";
    write(path, text);
    CHECK_THROWS_WITH((MetricsLog{path, 3}),
                      Catch::Matchers::StartsWith(path.string() + ":2 is not a record"));
    CHECK(burrow::read_text(path) == text);
  }
}

TEST_CASE("a record that does not fit on the disk leaves the others as they were") {
  const TemporaryDirectory directory;
  const auto path = directory / "metrics.jsonl";
  MetricsLog log{path};
  log.step(report_of(1));
  const std::string before = burrow::read_text(path);
  {
    const FileSizeLimit full{before.size() + 20};
    CHECK_THROWS_AS(log.step(report_of(2)), burrow::IoError);
  }
  CHECK(burrow::read_text(path) == before);
  log.step(report_of(2));
  CHECK(burrow::read_text(path).size() > before.size());
}

TEST_CASE("a file that cannot be opened is an error with its path") {
  const TemporaryDirectory directory;
  CHECK_THROWS_AS(MetricsLog{directory.path()}, burrow::IoError);
  CHECK_THROWS_AS((MetricsLog{directory.path(), 1}), burrow::IoError);
  const auto path = directory / "no/metrics.jsonl";
  CHECK_THROWS_WITH(MetricsLog{path}, Catch::Matchers::StartsWith(path.string() + " cannot be opened"));
}

}  // namespace gopher::metrics_test
