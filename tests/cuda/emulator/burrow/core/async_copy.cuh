// The emulator's asynchronous copies arrive as late as they may, when their thread waits for them, so that
// reading too early shows.
#pragma once

#include <cuda_runtime.h>

#include <cstring>
#include <deque>
#include <map>
#include <vector>

namespace burrow::cuda {

namespace emulated {
struct AsyncCopy {
  void* to;
  const void* from;
};
/// The groups of one thread; the last one is open.
using CopyGroups = std::deque<std::vector<AsyncCopy>>;
inline CopyGroups& copy_groups() {
  static thread_local std::map<unsigned, CopyGroups> of_threads;
  CopyGroups& groups = of_threads[threadIdx.x];
  if (groups.empty()) groups.emplace_back();
  return groups;
}
}  // namespace emulated

inline void copy_async(void* to, const void* from, bool inside) {
  emulated::copy_groups().back().push_back({to, inside ? from : nullptr});
}
inline void commit_copies() { emulated::copy_groups().emplace_back(); }
template <int Pending>
void wait_for_copies() {
  constexpr std::size_t bytes = 16;
  emulated::CopyGroups& groups = emulated::copy_groups();
  for (; groups.size() > Pending + 1; groups.pop_front())
    for (const auto& [to, from] : groups.front()) {
      if (from == nullptr)
        std::memset(to, 0, bytes);
      else
        std::memcpy(to, from, bytes);
    }
}

}  // namespace burrow::cuda
