// What a run tells those who watch it: aligned lines that read well on a terminal and in a log file.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>

#include <burrow/core/shape.hpp>

namespace gopher {

using burrow::Index;

/// The state of a run after a step.
struct StepReport {
  Index step = 0;            ///< steps done
  Index steps = 0;           ///< of the whole run; 0: unknown
  Index tokens = 0;          ///< taken by all steps done
  double loss = 0;           ///< mean over the tokens, in nats
  double bits_per_byte = 0;  ///< of the training text
  double learning_rate = 0;
  double gradient_norm = 0;  ///< before clipping
  double tokens_per_second = 0;
  double utilisation = -1;   ///< share of the machine's measured peak, 0 to 1; negative: unknown
  double seconds_left = -1;  ///< negative: unknown
  double elapsed = 0;        ///< seconds
  double data_wait = 0;      ///< seconds that the step waited for its tokens
  Index skipped = 0;         ///< steps left out because their gradient was not finite
};

/// The loss on held-out text after a step.
struct EvaluationReport {
  Index step = 0;
  Index tokens = 0;                   ///< taken by all steps done
  double loss = 0;                    ///< mean over the held-out tokens, in nats
  double bits_per_byte = 0;           ///< of the held-out text
  double baseline_bits_per_byte = 0;  ///< of the same text under the baseline
};

/// Bits per byte of text whose tokens cost `loss` nats each and stand for `bytes_per_token` bytes.
double bits_per_byte(double loss, double bytes_per_token);

/// Whether standard error is a terminal that understands control sequences.
bool stderr_is_terminal();

/// The width of the terminal that standard error leads to, in columns; 0: unknown.
std::size_t stderr_columns();

/// Writes reports as lines of a table, at most 110 columns wide, with the columns' names now and then. On a
/// terminal the reports between the logged ones are shown too, in a line that is written over, and a narrow
/// one is spared the less important columns; a file gets whole lines without control characters. A stream
/// that fails is not an error: the run goes on.
class ProgressLine {
 public:
  /// `terminal` says what `out` leads to, as stderr_is_terminal() does for std::cerr, and `width` how wide it
  /// is just now (0: unknown).
  ProgressLine(
      std::ostream& out, bool terminal, std::size_t (*width)() = [] { return std::size_t{0}; });
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

  /// A line that stays.
  void log(const StepReport& report);

  /// Shows `report` until the next line is written; does nothing in a file.
  void update(const StepReport& report);

  /// The same for the loss on held-out text.
  void evaluation(const EvaluationReport& report);

  /// One or more lines of text that stay, above the line that is written over. Control characters in it are
  /// written as '?'.
  void message(std::string_view text);

 private:
  void fit();
  std::string due_header();
  void write(const std::string& text);  // followed by the transient line

  std::ostream& out_;
  bool terminal_;
  std::size_t (*width_)();
  std::size_t shown_columns_ = 0;  // that fit
  int rows_until_header_ = 0;
  std::string transient_;  // the line on the terminal that will be written over
};

}  // namespace gopher
