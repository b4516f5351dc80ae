// Progress lines: as they stand in a file and on a terminal.
#include "gopher_model/training/progress.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <burrow/core/key.hpp>

namespace gopher::progress_test {
namespace {

StepReport report_of(Index step) {
  StepReport report;
  report.step = step;
  report.steps = 19'073;
  report.tokens = step * 16'384;
  report.loss = 3.25;
  report.bits_per_byte = 1.0625;
  report.learning_rate = 6e-4;
  report.gradient_norm = 0.8125;
  report.tokens_per_second = 12'345.6;
  report.utilisation = 0.615;
  report.seconds_left = 3723;
  report.elapsed = 59.9;
  return report;
}

constexpr const char* header =
    "           step  tokens     loss  bits/byte        lr  gradient    tok/s    util   elapsed      left  "
    "skipped\n";
constexpr const char* row_250 =
    "      250/19073   4.10M   3.2500     1.0625  6.00e-04    0.8125    12.3k   61.5%      0:59   1:02:03  "
    "      0\n";

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// The lines that a terminal of `width` columns shows after `written`, the last one included if not empty.
std::vector<std::string> shown(const std::string& written, std::size_t width) {
  std::vector<std::string> lines{""};
  std::size_t column = 0;
  bool wraps = true;
  for (std::size_t i = 0; i < written.size(); ++i) {
    const auto sequence = [&](const std::string& text) {
      if (written.compare(i, text.size(), text) != 0) return false;
      i += text.size() - 1;
      return true;
    };
    if (sequence("\033[?7l")) {
      wraps = false;
    } else if (sequence("\033[?7h")) {
      wraps = true;
    } else if (sequence("\033[K")) {
      lines.back().resize(column);
    } else if (written[i] == '\r') {
      column = 0;
    } else if (written[i] == '\n') {
      lines.emplace_back();
      column = 0;
    } else {
      REQUIRE(written[i] >= ' ');
      if (column == width && wraps) lines.emplace_back(), column = 0;
      if (column == width) --column;
      lines.back().resize(std::max(lines.back().size(), column + 1), ' ');
      lines.back()[column++] = written[i];
    }
  }
  CHECK(wraps);
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

}  // namespace

TEST_CASE("a file gets a header and a line for each logged report") {
  std::ostringstream out;
  {
    ProgressLine progress{out, false};
    progress.update(report_of(249));
    progress.log(report_of(250));
    progress.message("checkpoint: runs/a/checkpoints/step-00000250.safetensors\n");
    progress.update(report_of(251));
  }
  CHECK(out.str() ==
        std::string{header} + row_250 + "checkpoint: runs/a/checkpoints/step-00000250.safetensors\n");
}

TEST_CASE("a terminal's last line is written over") {
  std::ostringstream out;
  ProgressLine progress{out, true};
  const std::string row{row_250, std::string_view{row_250}.size() - 1};
  progress.update(report_of(250));
  CHECK(out.str() == header + ("\033[?7l" + row) + "\033[?7h");
  out.str("");
  progress.message("saved");
  CHECK(out.str() == "\r\033[Ksaved\n\033[?7l" + row + "\033[?7h");
  out.str("");
  progress.log(report_of(250));
  CHECK(out.str() == "\r\033[K" + row + "\n");
}

TEST_CASE("what stays on a terminal, even a narrow one, is what a file gets") {
  std::ostringstream file, terminal;
  {
    ProgressLine to_file{file, false}, to_terminal{terminal, true};
    for (Index step = 1; step <= 100; ++step) {
      for (ProgressLine* progress : {&to_file, &to_terminal}) {
        progress->update(report_of(step));
        if (step % 7 == 0) progress->log(report_of(step));
        if (step % 10 == 0) progress->message("evaluated\nafter " + std::to_string(step));
      }
    }
    CHECK(shown(terminal.str(), 110).back().starts_with("      100/19073 "));
  }
  CHECK(shown(terminal.str(), 110) == lines_of(file.str()));
}

TEST_CASE("no line is wider than the terminal") {
  static std::size_t width = 0;
  for (const std::size_t columns : {200u, 109u, 108u, 100u, 90u, 80u, 60u, 40u, 30u}) {
    width = columns;
    std::ostringstream out;
    ProgressLine progress{out, true, [] { return width; }};
    for (Index step = 1; step <= 20; ++step) progress.update(report_of(step));
    progress.log(report_of(21));
    const auto lines = shown(out.str(), columns);
    REQUIRE(lines.size() == 2);  // the header and a row: nothing was wrapped
    CHECK(lines[0].size() == lines[1].size());
    CHECK(lines[0].size() <= columns);
    CHECK((lines[0] == std::string{header}.substr(0, 109)) == (columns >= 109));
    for (const char* name : {"step", "loss", "left", "bits/byte", "tok/s", "tokens", "util", "gradient"})
      CHECK(((lines[0] + " ").find(name + std::string{" "}) != std::string::npos || columns < 80));
  }
  // Narrower than even two columns: the line that is written over is cut.
  width = 12;
  std::ostringstream out;
  ProgressLine progress{out, true, [] { return width; }};
  for (Index step = 1; step <= 20; ++step) progress.update(report_of(step));
  progress.message("end");
  CHECK(shown(out.str(), 12).size() == 4);  // the header, wrapped, the message, and the row
}

TEST_CASE("a terminal that is resized gets the names of its columns") {
  static std::size_t width = 0;
  std::ostringstream out;
  ProgressLine progress{out, true, [] { return width; }};
  for (const std::size_t columns : {200u, 200u, 80u, 80u, 200u}) {
    width = columns;
    progress.log(report_of(1));
  }
  const auto lines = lines_of(out.str());
  REQUIRE(lines.size() == 8);
  for (const std::size_t at : {0u, 3u, 6u}) CHECK(lines[at].starts_with("           step"));
  CHECK(lines[3].size() == 80);
}

TEST_CASE("the header returns after thirty lines") {
  std::ostringstream out;
  ProgressLine progress{out, false};
  for (Index step = 1; step <= 61; ++step) progress.log(report_of(step));
  const auto lines = lines_of(out.str());
  REQUIRE(lines.size() == 64);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CHECK((lines[i] == std::string{header}.substr(0, lines[i].size())) == (i % 31 == 0));
  }
}

TEST_CASE("every line has the same width, at most 110 columns, whatever the numbers") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr Index largest = std::numeric_limits<Index>::max();
  const std::vector<double> extremes{0,       -1,   1e-300,   1e300, infinity, std::nan(""), -std::nan(""),
                                     99.9999, 9999, 99'999.5, 999.5, 0.00999,  359'999,      1.5e8,
                                     360'000};
  const std::vector<Index> counts{0, 1, 999, 1000, 999'999, 1'000'000, 99'999'999, 4'000'000'000, largest};
  std::ostringstream out;
  ProgressLine progress{out, false};
  std::uint64_t draws = 0;
  const auto one_of = [&](const auto& values) {
    return values[burrow::Key{3}.bits(draws++) % values.size()];
  };
  for (int i = 0; i < 2000; ++i) {
    StepReport report{one_of(counts), one_of(counts), one_of(counts)};
    for (double* number : {&report.loss, &report.bits_per_byte, &report.learning_rate, &report.gradient_norm,
                           &report.seconds_left, &report.elapsed}) {
      *number = one_of(extremes);
    }
    report.tokens_per_second = static_cast<double>(one_of(counts)) + 0.3;
    report.utilisation = one_of(std::vector<double>{-1, 0, 0.5, 1, 1.2, 20, std::nan("")});
    report.skipped = one_of(counts);
    progress.log(report);
  }
  for (const std::string& line : lines_of(out.str())) {
    INFO(line);
    REQUIRE(line.size() == std::string{header}.size() - 1);
    REQUIRE(line.size() <= 110);
  }
}

TEST_CASE("numbers keep their meaning in few characters") {
  const auto row_with = [](const auto& change) {
    std::ostringstream out;
    StepReport report = report_of(1);
    change(report);
    ProgressLine{out, false}.log(report);
    return lines_of(out.str()).at(1);
  };
  const auto has = [&](const std::string& text, const auto& change) {
    return row_with(change).find(" " + text + " ") != std::string::npos;
  };
  CHECK(has("1", [](StepReport& r) { r.steps = 0; }));
  CHECK(has("23.1M/1.20G", [](StepReport& r) { r.step = 23'123'456, r.steps = 1'200'000'000; }));
  CHECK(has("300G", [](StepReport& r) { r.tokens = 300'000'000'000; }));
  CHECK(has("0.41", [](StepReport& r) { r.tokens_per_second = 0.41; }));
  CHECK(has("nan", [](StepReport& r) { r.loss = -std::nan(""); }));
  CHECK(has("-", [](StepReport& r) { r.utilisation = -1; }));
  CHECK(has("99:59:59", [](StepReport& r) { r.seconds_left = 359'999.9; }));
  CHECK(has("4d 04h", [](StepReport& r) { r.seconds_left = 360'000; }));
  CHECK(has("1:00", [](StepReport& r) { r.seconds_left = 60; }));
}

TEST_CASE("text from a model cannot steer the terminal") {
  std::ostringstream out;
  ProgressLine progress{out, true};
  progress.message("a\033[2Jb\rc\x7F\xC2\x9B\u00e9\n\n");
  CHECK(out.str() == "a?[2Jb?c??\u00e9\n");
}

TEST_CASE("a stream that fails does not stop a run") {
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  ProgressLine progress{out, true};
  CHECK_NOTHROW(progress.log(report_of(1)));
  CHECK_NOTHROW(progress.message("still here"));
}

TEST_CASE("bits per byte are nats per token in other units") {
  CHECK(bits_per_byte(std::log(256.0), 1) == Approx(8));
  CHECK(bits_per_byte(std::log(256.0), 4) == Approx(2));
}

}  // namespace gopher::progress_test
