#include "gopher_model/training/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <ostream>
#include <sstream>
#include <utility>

#include "gopher_model/model/quantities.hpp"

namespace gopher {
namespace {

constexpr std::size_t columns = 11;
constexpr std::array<std::string_view, columns> column_names{
    "step", "tokens", "loss", "bits/byte", "lr", "gradient", "tok/s", "util", "elapsed", "left", "skipped"};
constexpr std::array<std::size_t, columns> widths{15, 6, 7, 9, 8, 8, 7, 6, 8, 8, 7};
// For each column, how many are more important.
constexpr std::array<std::size_t, columns> ranks{0, 5, 1, 3, 8, 7, 4, 6, 9, 2, 10};
constexpr int rows_between_headers = 30;

using Cells = std::array<std::string, columns>;

// The first `shown` cells by rank, flush right, two spaces apart.
std::string row(const Cells& cells, std::size_t shown) {
  std::string line;
  for (std::size_t i = 0; i < columns; ++i) {
    if (ranks[i] >= shown) continue;
    if (!line.empty()) line += "  ";
    line.append(widths[i] - std::min(widths[i], cells[i].size()), ' ');
    line += cells[i];
  }
  return line;
}

// How many columns fit into `width`, at least two; all of them where it is 0.
std::size_t fitting(std::size_t width) {
  for (std::size_t shown = columns; width > 0 && shown > 2; --shown) {
    if (row({}, shown).size() <= width) return shown;
  }
  return width > 0 ? 2 : columns;
}

// "817", "0.41", "1.25k", "300M": three digits, at most six characters below 1e18.
std::string short_count(double value) {
  if (std::isnan(value)) return "nan";
  constexpr std::array<const char*, 5> units{"", "k", "M", "G", "T"};
  std::size_t unit = 0;
  for (; std::abs(value) >= 999.5 && unit < units.size() - 1; ++unit) value /= 1000;
  const double size = std::abs(value);
  if (size >= 999.5 || (size < 0.01 && size > 0)) return formatted("%.0e", value) + units[unit];
  if (unit == 0) return formatted("%.3g", value);
  return formatted(size >= 99.95 ? "%.0f" : size >= 9.995 ? "%.1f" : "%.2f", value) + units[unit];
}

std::string two_digits(Index value) { return (value < 10 ? "0" : "") + std::to_string(value); }

// "0:07", "1:02:03", "12d 03h"; "-" for a negative, that is unknown, duration.
std::string duration(double seconds) {
  constexpr double longest = 1000 * 86400.0;
  if (!(seconds >= 0)) return "-";
  if (seconds >= longest) return "> 999d";
  const auto total = static_cast<Index>(seconds);
  const Index days = total / 86400, hours = total / 3600, minutes = total / 60 % 60;
  if (hours >= 100) return std::to_string(days) + "d " + two_digits(hours % 24) + "h";
  if (hours > 0) return std::to_string(hours) + ":" + two_digits(minutes) + ":" + two_digits(total % 60);
  return std::to_string(minutes) + ":" + two_digits(total % 60);
}

// The number as `format` writes it, or with fewer digits where that is wider than the column.
std::string number(const char* format, double value, std::size_t width) {
  if (std::isnan(value)) return "nan";
  std::string text;
  for (const char* const attempt : {format, "%.5g", "%.0e"}) {
    text = formatted(attempt, value);
    if (text.size() <= width) break;
  }
  return text;
}

std::string steps_done(const StepReport& report) {
  const bool known = report.steps > 0;
  const std::string text = std::to_string(report.step) + (known ? "/" + std::to_string(report.steps) : "");
  if (text.size() <= widths[0]) return text;
  const auto count = [](Index value) { return short_count(static_cast<double>(value)); };
  return count(report.step) + (known ? "/" + count(report.steps) : "");
}

std::string table_row(const StepReport& report, std::size_t shown) {
  return row(
      {steps_done(report), short_count(static_cast<double>(report.tokens)), number("%.4f", report.loss, 7),
       number("%.4f", report.bits_per_byte, 9), number("%.2e", report.learning_rate, 8),
       number("%.4g", report.gradient_norm, 8), short_count(report.tokens_per_second),
       report.utilisation < 0 ? "-" : number("%.1f%%", 100 * report.utilisation, 6), duration(report.elapsed),
       duration(report.seconds_left), short_count(static_cast<double>(report.skipped))},
      shown);
}

std::string header(std::size_t shown) {
  Cells cells;
  std::copy(column_names.begin(), column_names.end(), cells.begin());
  return row(cells, shown);
}

// `text` with control characters, those of Unicode's second block (C2 80 to C2 9F) too, as '?'.
std::string without_controls(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](std::size_t at) {
      return static_cast<unsigned char>(at < text.size() ? text[at] : 0);
    };
    const bool second_block = byte(i) == 0xC2 && byte(i + 1) >= 0x80 && byte(i + 1) < 0xA0;
    const bool control = (byte(i) < 0x20 && text[i] != '\n') || byte(i) == 0x7F;
    out += control || second_block ? '?' : text[i];
    if (second_block) ++i;
  }
  return out;
}

constexpr std::string_view clear_line = "\r\033[K";
// A terminal narrower than the table cuts the line instead of wrapping it, so that it can be written over.
constexpr std::string_view no_wrap = "\033[?7l", wrap = "\033[?7h";

}  // namespace

double bits_per_byte(double loss, double bytes_per_token) {
  return loss / (std::numbers::ln2 * bytes_per_token);
}

bool stderr_is_terminal() {
  const char* const kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view{kind} != "dumb";
}

std::size_t stderr_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

ProgressLine::ProgressLine(std::ostream& out, bool terminal, std::size_t (*width)())
    : out_{out}, terminal_{terminal}, width_{width} {}

ProgressLine::~ProgressLine() {
  if (transient_.empty()) return;
  transient_.clear();
  try {
    write(std::string{clear_line});
  } catch (...) {  // a stream that throws: there is nobody left to tell
  }
}

void ProgressLine::log(const StepReport& report) {
  const std::string before = std::exchange(transient_, {}).empty() ? "" : std::string{clear_line};
  fit();
  write(before + due_header() + table_row(report, shown_columns_) + "\n");
  --rows_until_header_;
}

void ProgressLine::update(const StepReport& report) {
  if (!terminal_) return;
  const std::string before = transient_.empty() ? "" : std::string{clear_line};
  fit();
  transient_ = table_row(report, shown_columns_);
  write(before + due_header());
}

void ProgressLine::evaluation(const EvaluationReport& r) {
  std::ostringstream text;
  text.precision(4);
  text << "held-out text after step " << r.step << ": loss " << r.loss << ", " << r.bits_per_byte
       << " bits per byte (order-2 byte model: " << r.baseline_bits_per_byte << ")";
  message(text.str());
}

void ProgressLine::message(std::string_view text) {
  const std::string before = transient_.empty() ? "" : std::string{clear_line};
  while (text.ends_with('\n')) text.remove_suffix(1);
  write(before + without_controls(text) + "\n");
}

// A changed choice of columns needs their names again.
void ProgressLine::fit() {
  const std::size_t shown = fitting(terminal_ ? width_() : 0);
  if (std::exchange(shown_columns_, shown) != shown) rows_until_header_ = 0;
}

std::string ProgressLine::due_header() {
  if (rows_until_header_ > 0) return "";
  rows_until_header_ = rows_between_headers;
  return header(shown_columns_) + "\n";
}

void ProgressLine::write(const std::string& text) {
  std::string all = text;
  if (!transient_.empty()) all.append(no_wrap).append(transient_).append(wrap);
  out_.write(all.data(), static_cast<std::streamsize>(all.size()));
  out_.flush();
}

}  // namespace gopher
