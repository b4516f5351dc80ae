// What a run must keep from its first step to its last, however often it is resumed.
#pragma once

#include <cstdint>

#include <burrow/core/shape.hpp>

namespace gopher {

/// With another seed, tokenizer or text, the steps after a checkpoint would not be those of the same run.
struct RunIdentity {
  burrow::Index seed = 0;
  std::uint64_t tokenizer = 0;  ///< checksum of the serialized tokenizer
  std::uint64_t text = 0;       ///< checksum of the training and the held-out documents
};

}  // namespace gopher
