// Ranks of elements along an axis on the CPU.
#pragma once

#include <burrow/ops/argmax/cpu.hpp>

namespace burrow::detail {

/// An element with its place in the line.
template <class C>
struct Placed {
  C value;
  Index place;
};

/// Smaller values first, NaN last, equal ones in their order.
struct Ascending {
  template <class C>
  constexpr bool operator()(const Placed<C>& a, const Placed<C>& b) const {
    if (a.value < b.value) return true;
    if (b.value < a.value) return false;
    if (is_nan(a.value) != is_nan(b.value)) return is_nan(b.value);
    return a.place < b.place;
  }
};

/// NaN first, then larger values first, equal ones in their order.
struct Descending {
  template <class C>
  constexpr bool operator()(const Placed<C>& a, const Placed<C>& b) const {
    if (b.value < a.value) return true;
    if (a.value < b.value) return false;
    if (is_nan(a.value) != is_nan(b.value)) return is_nan(a.value);
    return a.place < b.place;
  }
};

/// places[o, r, i] = the place in line (o, i) of its element of rank r, for the first `count` ranks.
template <class Order, class T>
void places_by_rank(Cpu, const Lines& lines, Index count, const T* x, std::int64_t* places) {
  using Element = Placed<compute_type<T>>;
  const Index grain = std::max<Index>(elementwise_grain / 16 / std::max<Index>(lines.extent, 1), 1);
  parallel_for(lines.outer * lines.inner, grain, [&](Index begin, Index end) {
    const Buffer<Cpu> scratch{lines.extent * Index{sizeof(Element)}};
    auto* const elements = static_cast<Element*>(scratch.data());
    for (Index line = begin; line < end; ++line) {
      const Index o = line / lines.inner, i = line % lines.inner;
      for (Index k = 0; k < lines.extent; ++k)
        elements[k] = {static_cast<compute_type<T>>(x[(o * lines.extent + k) * lines.inner + i]), k};
      if (2 * count < lines.extent)
        std::partial_sort(elements, elements + count, elements + lines.extent, Order{});
      else
        std::sort(elements, elements + lines.extent, Order{});
      for (Index r = 0; r < count; ++r) places[(o * count + r) * lines.inner + i] = elements[r].place;
    }
  });
}

}  // namespace burrow::detail
