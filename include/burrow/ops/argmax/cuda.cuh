// Positions of the largest and the smallest elements along an axis on a CUDA device.
#pragma once

#include <burrow/ops/argmax/argmax.hpp>
#include <burrow/ops/gather/cuda.cuh>

namespace burrow::detail {

/// An element and its number in the line; -1: none.
template <class C>
struct NumberedElement {
  C value;
  Index number;
};

/// Of two elements the one that Op chooses: NaN before all numbers, the first of equal ones.
template <class Op>
struct ChoiceOf {
  template <class S>
  static constexpr S identity = {0, -1};

  template <class C>
  static constexpr bool first(const NumberedElement<C>& a, const NumberedElement<C>& b) {
    if (a.number < 0 || b.number < 0) return b.number < 0;
    const bool a_is_nan = a.value != a.value, b_is_nan = b.value != b.value;
    if (a_is_nan != b_is_nan) return a_is_nan;
    if (Op::beyond(a.value, b.value)) return true;
    return !Op::beyond(b.value, a.value) && a.number < b.number;
  }
  template <class C>
  static constexpr NumberedElement<C> combine(NumberedElement<C> a, NumberedElement<C> b) {
    return first(a, b) ? a : b;
  }
};

/// A line whose elements lie side by side, by a block.
template <class Op, class T>
struct ChosenInRow {
  Index width;
  const T* x;
  std::int64_t* positions;

  template <int Each>
  __device__ void operator()(Index r) const {
    using C = compute_type<T>;
    NumberedElement<C> best{0, -1};
    for_elements<Each>(width, [&](Index i) {
      C values[Each];
      cuda::load_elements(x + r * width + i, values);
#pragma unroll
      for (int e = 0; e < Each; ++e) best = ChoiceOf<Op>::combine(best, NumberedElement<C>{values[e], i + e});
    });
    best = cuda::block_reduce<ChoiceOf<Op>>(best);
    if (threadIdx.x == 0) positions[r] = best.number;
  }
};

/// Any other line, by a thread.
template <class Op, class T>
struct ChosenAlong {
  Lines lines;
  const T* x;
  std::int64_t* positions;

  template <int>
  __device__ void operator()(Index o, Index i) const {
    using C = compute_type<T>;
    NumberedElement<C> best{0, -1};
    for (Index k = 0; k < lines.extent; ++k)
      best = ChoiceOf<Op>::combine(
          best, NumberedElement<C>{static_cast<C>(x[(o * lines.extent + k) * lines.inner + i]), k});
    positions[o * lines.inner + i] = best.number;
  }
};

template <class Op, class T>
void chosen_positions(Cuda, const Lines& lines, const T* x, std::int64_t* positions) {
  if (lines.inner == 1)
    launch_rows<T>("argmax", Rows{lines.outer, lines.extent}, cuda::rows_are_aligned<T>(lines.extent, x),
                   ChosenInRow<Op, T>{lines.extent, x, positions});
  else
    launch_elements_of_rows<T>("argmax", Rows{lines.outer, lines.inner}, false,
                               ChosenAlong<Op, T>{lines, x, positions});
}

}  // namespace burrow::detail
