// How many tokens each optimizer step takes, and how many steps a run has: a batch that may grow once.
#pragma once

#include <string_view>

#include "gopher_model/training/run_configuration.hpp"

namespace gopher {

/// "0.5:2": after the fraction `at` of the tokens the batch is `factor` times as large. The empty text means
/// never (factor 1).
struct BatchRamp {
  double at = 1;
  Index factor = 1;
};

/// Reads a ramp; throws ConfigError if `text` is neither empty nor FRACTION:FACTOR, 0 < FRACTION < 1 and
/// 2 <= FACTOR <= 16.
BatchRamp parse_batch_ramp(std::string_view text);

/// The batch of every step of a run.
struct BatchSchedule {
  Index first_batch = 0;   ///< tokens of a step before the ramp
  Index second_batch = 0;  ///< and after it
  Index ramp_step = 0;     ///< the first step, from 0, that takes `second_batch`
  Index steps = 0;         ///< of the whole run; 0 if only time limits it

  /// Tokens that step `step` (from 0) takes.
  constexpr Index batch_tokens(Index step) const { return step < ramp_step ? first_batch : second_batch; }
};

/// The schedule of a run that ends at `steps` or `tokens`, whichever comes first (0 = no such limit).
BatchSchedule batch_schedule(const RunConfiguration& configuration);

}  // namespace gopher
