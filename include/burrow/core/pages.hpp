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

#ifdef __linux__
/// The whole stretches of `unit` bytes in a range of memory; perhaps none.
struct Stretches {
  std::uintptr_t begin, end;

  Stretches(std::uintptr_t first, std::uintptr_t last, std::uintptr_t unit)
      : begin{std::min((first + unit - 1) / unit * unit, last)}, end{std::max(last / unit * unit, begin)} {}
  bool advise(int advice) const {
    return begin == end || madvise(reinterpret_cast<void*>(begin), end - begin, advice) == 0;
  }
};

inline std::uintptr_t page_bytes() {
  static const auto bytes = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}
#endif

/// Bytes of the host become zero, and the whole pages among them take no memory until they are written again.
/// Throws Error where the system cannot do that.
inline void discard([[maybe_unused]] void* data, [[maybe_unused]] Index bytes) {
#ifdef __linux__
  constexpr std::uintptr_t huge = std::uintptr_t{1} << 21;
  const auto begin = reinterpret_cast<std::uintptr_t>(data), end = begin + static_cast<std::uintptr_t>(bytes);
  const Stretches pages{begin, end, page_bytes()}, huge_pages{begin, end, huge};
  std::memset(data, 0, pages.begin - begin);
  pages.advise(MADV_NOHUGEPAGE);  // or what is written brings memory for its neighbours
  if (!pages.advise(MADV_DONTNEED)) throw Error("memory could not be given back to the system");
  huge_pages.advise(MADV_HUGEPAGE);
  std::memset(reinterpret_cast<void*>(pages.end), 0, end - pages.end);
#else
  throw Error("memory is given back by the page on Linux only");
#endif
}

/// Asks for the memory of whole pages at once, where the system can do that; bytes stay as they are.
inline void bring_back([[maybe_unused]] void* data, [[maybe_unused]] Index bytes) {
#if defined(__linux__) && defined(MADV_POPULATE_WRITE)
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  (void)Stretches{begin, begin + static_cast<std::uintptr_t>(bytes), page_bytes()}.advise(
      MADV_POPULATE_WRITE);
#endif
}

}  // namespace burrow::detail
