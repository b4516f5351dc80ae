// Results that no cache can keep are written past the caches: a line need not be read from memory before it
// is written.
#pragma once

#include <cstdint>
#include <cstring>

#include <burrow/core/shape.hpp>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace burrow::detail {

/// Bytes that are streamed together: a line of a cache.
inline constexpr Index stream_bytes = 64;

#if defined(__SSE2__)
/// Whether a result of so many bytes is written past the caches: where a usual last cache does not hold it,
/// who reads it next finds none of it there either way.
inline bool is_streamed(Index bytes) { return bytes >= Index{32} << 20; }

/// Whether lines can be streamed to an address.
inline bool takes_streams(const void* to) {
  return reinterpret_cast<std::uintptr_t>(to) % sizeof(__m128i) == 0;
}

/// Copies a number of lines from the cache to memory, past the caches. Other threads see them after
/// `finish_streams`.
template <Index Bytes>
void stream(void* to, const void* from) {
  static_assert(Bytes % stream_bytes == 0);
  auto* const out = static_cast<__m128i*>(to);
  const auto* const in = static_cast<const __m128i*>(from);
  for (Index i = 0; i < Bytes / Index{sizeof(__m128i)}; ++i)
    _mm_stream_si128(out + i, _mm_load_si128(in + i));
}

/// Ends what a thread has streamed.
inline void finish_streams() { _mm_sfence(); }
#else
inline bool is_streamed(Index) { return false; }
inline bool takes_streams(const void*) { return false; }
template <Index Bytes>
void stream(void* to, const void* from) {
  std::memcpy(to, from, Bytes);
}
inline void finish_streams() {}
#endif

}  // namespace burrow::detail
