// Parts of an axis by index on the CPU, and sums of parts into an axis in a fixed order.
#pragma once

#include <burrow/ops/lines.hpp>

namespace burrow::detail {

template <class T, class G>
void copy_row(Index width, const G* from, T* to) {
  if constexpr (std::same_as<T, G>) {
    if (width == 1)
      *to = *from;
    else
      std::copy_n(from, width, to);
  } else {
    for_packets<lanes<compute_type<G>>>(0, width, [&]<bool Full>(Index i, Index count) {
      store_packet(to + i, load_packet<compute_type<G>, Full>(from + i, count), count, Full);
    });
  }
}

/// y[o, k, :] = x[o, ids[k], :] for `count` ids.
template <class T, class G, IndexElement I>
void gather_forward(Cpu, const Lines& lines, const I* ids, Index count, const G* x, T* y) {
  const Index grain = std::max<Index>(elementwise_grain / 4 / std::max<Index>(lines.inner, 1), 1);
  parallel_for(lines.outer * count, grain, [&](Index begin, Index end) {
    Index o = begin / count, k = begin % count;
    for (Index r = begin; r < end; ++r) {
      copy_row(lines.inner, x + (o * lines.extent + static_cast<Index>(ids[k])) * lines.inner,
               y + r * lines.inner);
      if (++k == count) k = 0, ++o;
    }
  });
}

/// The positions of `ids` in the order of (id, position), by counting.
template <IndexElement I>
Buffer<Cpu> positions_by_id(const I* ids, Index count, Index limit) {
  const Buffer<Cpu> order{count * Index{sizeof(Index)}};
  const Buffer<Cpu> starts{(limit + 1) * Index{sizeof(Index)}};
  auto* const start = static_cast<Index*>(starts.data());
  std::fill_n(start, limit + 1, Index{0});
  for (Index r = 0; r < count; ++r) ++start[static_cast<Index>(ids[r]) + 1];
  for (Index id = 0; id < limit; ++id) start[id + 1] += start[id];
  for (Index r = 0; r < count; ++r)
    static_cast<Index*>(order.data())[start[static_cast<Index>(ids[r])]++] = r;
  return order;
}

/// Adds the rows of dy at `positions` to one row, in order, rounding once.
template <class T, class G>
void add_rows(Index width, const T* dy, const Index* positions, Index count, DenseTarget<G> to) {
  using C = compute_type<G>;
  if (width < lanes<C>) {
    for (Index i = 0; i < width; ++i) {
      C sum(0);
      for (Index k = 0; k < count; ++k) sum += static_cast<C>(dy[positions[k] * width + i]);
      to.put(i, sum);
    }
    return;
  }
  for_packets<lanes<C>>(0, width, [&]<bool Full>(Index i, Index lanes_left) {
    Packet<C> sum(C(0));
    for (Index k = 0; k < count; ++k)
      sum = sum + load_packet<C, Full>(dy + positions[k] * width + i, lanes_left);
    to.template put<Full>(i, sum, lanes_left);
  });
}

/// Adds dy[o, k, :] to `to`[o, ids[k], :]. Every row is summed by one thread, in the order of k.
template <class T, class G, IndexElement I>
void scatter_sum(Cpu, const Lines& lines, const I* ids, Index count, const T* dy, DenseTarget<G> to) {
  if (!to.accumulate)
    parallel_for(lines.outer * lines.extent * lines.inner, elementwise_grain,
                 [&](Index begin, Index end) { std::fill(to.data + begin, to.data + end, G(0)); });
  const Buffer<Cpu> sorted = positions_by_id(ids, count, lines.extent);
  const auto* const order = static_cast<const Index*>(sorted.data());
  const auto same = [&](Index k, Index l) { return ids[order[k]] == ids[order[l]]; };
  const Index grain = std::max<Index>(elementwise_grain / 4 / std::max<Index>(lines.inner, 1), 1);
  parallel_for(lines.outer * count, grain, [&](Index begin, Index end) {
    // A run of equal ids belongs to the thread in whose piece it begins.
    for (Index r = begin; r < end;) {
      const Index o = r / count, first = r % count;
      Index last = first + 1;
      while (last < count && same(last, first)) ++last;
      if (r > begin || first == 0 || !same(first, first - 1)) {
        const DenseTarget<G> all{to.data, true};
        const Index row = o * lines.extent + static_cast<Index>(ids[order[first]]);
        add_rows(lines.inner, dy + o * count * lines.inner, order + first, last - first,
                 all.row(row, lines.inner));
      }
      r += last - first;
    }
  });
}

/// y[o, k, i] = x[o, ids[o, k, i], i] for lines of ids of length `count`.
template <class T, IndexElement I>
void take_along_forward(Cpu, const Lines& lines, const I* ids, Index count, const T* x, T* y) {
  const Index grain = std::max<Index>(elementwise_grain / 4 / std::max<Index>(lines.inner, 1), 1);
  parallel_for(lines.outer * count, grain, [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* const from = x + r / count * lines.extent * lines.inner;
      const I* const id = ids + r * lines.inner;
      for (Index i = 0; i < lines.inner; ++i)
        y[r * lines.inner + i] = from[static_cast<Index>(id[i]) * lines.inner + i];
    }
  });
}

/// Adds dy[o, k, i] to dx[o, ids[o, k, i], i], in the order of k, rounding once.
template <class T, IndexElement I>
void take_along_backward(Cpu, const Lines& lines, const I* ids, Index count, const T* dy, DenseTarget<T> dx) {
  using C = compute_type<T>;
  for_line_blocks<C>(lines, lines.extent, [&](Index o, Index first, Index last, C* sums) {
    const Index width = last - first;
    std::fill_n(sums, lines.extent * width, C(0));
    for (Index k = 0; k < count; ++k) {
      const Index row = (o * count + k) * lines.inner + first;
      for (Index i = 0; i < width; ++i)
        sums[static_cast<Index>(ids[row + i]) * width + i] += static_cast<C>(dy[row + i]);
    }
    for (Index k = 0; k < lines.extent; ++k)
      for (Index i = 0; i < width; ++i)
        dx.put((o * lines.extent + k) * lines.inner + first + i, sums[k * width + i]);
  });
}

}  // namespace burrow::detail
