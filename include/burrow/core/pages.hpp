// Memory that comes and goes by the page, at addresses that stay.
#pragma once

#include <burrow/core/error.hpp>
#include <burrow/core/shape.hpp>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace burrow::detail {

/// Asks for zeros in memory that nobody has written yet.
struct Untouched {};

/// Bytes of the host become zero, and the whole pages among them take no memory until they are written again.
/// Throws Error where the system cannot do that.
inline void discard([[maybe_unused]] void* data, [[maybe_unused]] Index bytes) {
#ifdef __linux__
  static const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(data), end = begin + static_cast<std::uintptr_t>(bytes);
  const std::uintptr_t first = std::min((begin + page - 1) / page * page, end);
  const std::uintptr_t last = std::max(end / page * page, first);
  std::memset(data, 0, first - begin);
  if (first < last) {
    void* const pages = reinterpret_cast<void*>(first);
    madvise(pages, last - first, MADV_NOHUGEPAGE);  // or what is written brings memory for its neighbours
    if (madvise(pages, last - first, MADV_DONTNEED) != 0)
      throw Error("memory could not be given back to the system");
  }
  std::memset(reinterpret_cast<void*>(last), 0, end - last);
#else
  throw Error("memory is given back by the page on Linux only");
#endif
}

}  // namespace burrow::detail
