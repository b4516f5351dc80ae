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

/// Bytes that are computed into the first cache before they are streamed.
inline constexpr Index stream_bytes = 4096;

#if defined(__SSE2__)
/// Whether a result of so many bytes is written past the caches: where a usual last cache does not hold it,
/// who reads it next finds none of it there either way.
inline bool is_streamed(Index bytes) { return bytes >= Index{32} << 20; }

/// Copies bytes from the cache to memory, past the caches where the address is that of a vector. Other
/// threads see them after `finish_streams`. `from` is aligned to 16.
[[gnu::noinline]] inline void stream(void* to, const void* from, Index bytes) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(to) % sizeof(__m128i) == 0;
  const Index vectors = aligned ? bytes / Index{sizeof(__m128i)} : 0;
  auto* const out = static_cast<__m128i*>(to);
  const auto* const in = static_cast<const __m128i*>(from);
  for (Index i = 0; i < vectors; ++i) _mm_stream_si128(out + i, _mm_load_si128(in + i));
  std::memcpy(out + vectors, in + vectors,
              static_cast<std::size_t>(bytes) - sizeof(__m128i) * static_cast<std::size_t>(vectors));
}

/// Ends what a thread has streamed.
inline void finish_streams() { _mm_sfence(); }
#else
inline bool is_streamed(Index) { return false; }
inline void stream(void* to, const void* from, Index bytes) {
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}
inline void finish_streams() {}
#endif

}  // namespace burrow::detail
