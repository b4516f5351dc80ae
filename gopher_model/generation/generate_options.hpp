// What `gopher generate` is asked for.
#pragma once

#include <string>

#include <burrow/core/shape.hpp>

#include "gopher_model/training/device.hpp"

namespace gopher {

using burrow::Index;

/// Which model continues which text, and how its tokens are drawn.
struct GenerateOptions {
  std::string run;         ///< directory of a training run: its newest checkpoint is used; or
  std::string checkpoint;  ///< one checkpoint; exactly one of the two is given
  std::string prompt;      ///< the text to continue; may be empty
  Index tokens = 128;      ///< at most so many are drawn
  double temperature = 1;  ///< the logits are divided by it; above 0
  Index top_k = 0;         ///< draw among the k most likely tokens; 0: among all
  double top_p = 1;        ///< draw among the likeliest tokens that reach this probability; 1: among all
  bool greedy = false;     ///< always take the likeliest token
  Index seed = 0;          ///< the same seed gives the same text
  Index count = 1;         ///< continuations of the prompt, each with a random key of its own
  DeviceKind device = DeviceKind::cpu;
  Index threads = 0;    ///< 0: all cores
  bool report = false;  ///< say how near decoding comes to the memory's bandwidth
};

}  // namespace gopher
