// Copies from global to shared memory that go on while a thread computes. What was started is committed as a
// group; groups arrive in order. A thread waits for its own groups, and a barrier makes them known to others.
#pragma once

#include <cstdint>

namespace burrow::cuda {

/// Starts a copy of 16 bytes between addresses that are multiples of 16, or puts zeros where not `inside`;
/// `from` is not read then.
__device__ inline void copy_async(void* to, const void* from, bool inside) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(inside ? 16 : 0)
               : "memory");
}

/// Ends the group of the copies that this thread has started since the last one.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until no more than the `Pending` last groups of this thread are on their way.
template <int Pending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

}  // namespace burrow::cuda
