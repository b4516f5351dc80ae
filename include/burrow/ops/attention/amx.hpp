// Products of attention in the processor's matrix unit (Intel AMX), for bf16 where the build and the machine
// have it. Panels of pairs, rows of a score tile and rows of a head are already what its registers are loaded
// from.
#pragma once

#include <burrow/core/amx.hpp>
#include <burrow/ops/matmul/pack.hpp>

namespace burrow::cpu::detail {

/// True where this build can multiply T in the matrix unit.
template <class T>
inline constexpr bool fits_amx = compiled_for_amx&& elements_per_word<T> == 2;

/// True where products of T go through the matrix unit now.
template <class T>
bool multiplies_in_amx() {
  if constexpr (fits_amx<T>)
    return amx_permitted();
  else
    return false;
}

/// Extents of what is multiplied at once: rows by columns of sums, over `words` pairs of bf16.
struct AmxProduct {
  static constexpr Index rows = 32, columns = 32, words = 16;
};

/// c (+)= a b for `rows` rows, a multiple of 32, and 32 columns, over `steps` times 32 numbers. Row i of a is
/// a[i * a_stride] on, pairs of rows of b are b[l * b_stride] on. The calling thread holds AmxTiles.
template <class T>
void multiply_amx(Index rows, Index steps, const T* a, Index a_stride, const float* b, Index b_stride,
                  bool accumulate, float* c, Index stride);

#ifdef BURROW_WITH_AMX
template <class T>
[[gnu::noinline]] void multiply_amx(Index rows, Index steps, const T* a, Index a_stride, const float* b,
                                    Index b_stride, bool accumulate, float* c, Index stride) {
  constexpr Index half = 16;  // rows, and columns, of one register of sums
  const std::size_t row = sizeof(float) * static_cast<std::size_t>(stride),
                    a_row = sizeof(T) * static_cast<std::size_t>(a_stride),
                    b_row = sizeof(float) * static_cast<std::size_t>(b_stride);
  asm volatile("" ::: "memory");  // g++ 12's intrinsics do not say what they read and write
  for (Index i = 0; i < rows; i += AmxProduct::rows) {
    const T* left = a + i * a_stride;
    const float* right = b;
    float* const to = c + i * stride;
    if (accumulate) {
      _tile_loadd(0, to, row);
      _tile_loadd(1, to + half, row);
      _tile_loadd(2, to + half * stride, row);
      _tile_loadd(3, to + half * stride + half, row);
    } else {
      _tile_zero(0);
      _tile_zero(1);
      _tile_zero(2);
      _tile_zero(3);
    }
    for (Index s = 0; s < steps; ++s, left += 2 * AmxProduct::words, right += AmxProduct::words * b_stride) {
      _tile_loadd(4, left, a_row);
      _tile_loadd(6, right, b_row);
      _tile_loadd(7, right + half, b_row);
      _tile_loadd(5, left + half * a_stride, a_row);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, to, row);
    _tile_stored(1, to + half, row);
    _tile_stored(2, to + half * stride, row);
    _tile_stored(3, to + half * stride + half, row);
  }
  asm volatile("" ::: "memory");
}
#endif

}  // namespace burrow::cpu::detail
