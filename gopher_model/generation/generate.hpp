// gopher generate: lets a trained model continue a text.
#pragma once

#include "gopher_model/generation/generate_options.hpp"

namespace gopher {

/// Writes the prompt and its continuations to standard output as they are drawn, and the speed to standard
/// error; returns the process's exit code. Throws burrow::Error in one sentence where the model cannot be
/// read.
int generate(const GenerateOptions& options);

}  // namespace gopher
