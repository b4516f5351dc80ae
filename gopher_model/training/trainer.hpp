// Training of a Gopher from a configuration to a checkpoint.
#pragma once

#include "gopher_model/training/run_configuration.hpp"

namespace gopher {

/// Trains as the configuration says, showing progress on standard error and samples on standard output, and
/// returns the process's exit code. Ctrl-C or SIGTERM finish the step, save, and end the run in good order.
/// Throws burrow::Error with one sentence where the run cannot start or go on.
int train(const RunConfiguration& configuration);

}  // namespace gopher
