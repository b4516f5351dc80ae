// The emulator's place of the shared memory that a launch asks for.
#pragma once

#include <cstddef>

namespace burrow::cuda {

inline std::byte* dynamic_shared() { return emulator::shared_memory; }

}  // namespace burrow::cuda
