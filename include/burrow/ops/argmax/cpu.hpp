// Positions of the largest and the smallest elements along an axis on the CPU.
#pragma once

#include <burrow/ops/lines.hpp>

namespace burrow::detail {

template <class C>
constexpr bool is_nan(C value) {
  if constexpr (std::is_floating_point_v<C>)
    return std::isnan(value);
  else
    return false;
}

/// Number of the first element of a row that Op (MaximumOf or MinimumOf) chooses.
template <class Op, class T>
Index chosen_in_row(const T* x, Index extent) {
  using C = compute_type<T>;
  Index best = 0;
  if constexpr (Real<T>) {
    const C value = fold_row<Op, C>(
        extent, [x]<bool Full>(Index i, Index count) { return load_packet<C, Full>(x + i, count); });
    const auto reached = [&](Index k) {
      const auto element = static_cast<C>(x[k]);
      return element == value || (is_nan(element) && is_nan(value));
    };
    while (!reached(best)) ++best;
  } else {
    for (Index k = 1; k < extent; ++k)
      if (Op::beyond(x[k], x[best])) best = k;
  }
  return best;
}

/// positions[o, i] = the first k where Op chooses x[o, k, i]; NaN is chosen before all numbers.
template <class Op, class T>
void chosen_positions(Cpu, const Lines& lines, const T* x, std::int64_t* positions) {
  using C = compute_type<T>;
  if (lines.inner == 1) {
    for_each_row(Rows{lines.outer, lines.extent},
                 [&](Index o) { positions[o] = chosen_in_row<Op>(x + o * lines.extent, lines.extent); });
    return;
  }
  for_line_blocks<C>(lines, 1, [&](Index o, Index first, Index last, C* best) {
    const T* row = x + o * lines.extent * lines.inner;
    std::int64_t* const to = positions + o * lines.inner;
    for (Index i = first; i < last; ++i) {
      best[i - first] = static_cast<C>(row[i]);
      to[i] = 0;
    }
    for (Index k = 1; k < lines.extent; ++k) {
      row += lines.inner;
      for (Index i = first; i < last; ++i) {
        const auto value = static_cast<C>(row[i]);
        C& old = best[i - first];
        if (Op::beyond(value, old) || (is_nan(value) && !is_nan(old))) {
          old = value;
          to[i] = k;
        }
      }
    }
  });
}

}  // namespace burrow::detail
