// Rows of a table by id on the CPU, and the sum of gradients into these rows.
#pragma once

#include <burrow/ops/index_check.hpp>
#include <burrow/ops/rows.hpp>

namespace burrow::detail {

/// Row r of y becomes row ids[r] of the table.
template <class T, class G, IndexElement I>
void embedding_forward(Cpu, const Rows& rows, const G* table, const I* ids, T* y) {
  using C = compute_type<G>;
  for_each_row(rows, [&](Index r) {
    const G* const from = table + static_cast<Index>(ids[r]) * rows.width;
    T* const to = y + r * rows.width;
    if constexpr (std::same_as<T, G>)
      std::copy_n(from, rows.width, to);
    else
      for_packets<lanes<C>>(0, rows.width, [&]<bool Full>(Index i, Index count) {
        store_packet(to + i, load_packet<C, Full>(from + i, count), count, Full);
      });
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
  for_packets<lanes<C>>(0, width, [&]<bool Full>(Index i, Index lanes_left) {
    Packet<C> sum(C(0));
    for (Index k = 0; k < count; ++k)
      sum = sum + load_packet<C, Full>(dy + positions[k] * width + i, lanes_left);
    to.template put<Full>(i, sum, lanes_left);
  });
}

/// Adds each row of dy to the table's gradient at its id. Every row of the table is summed by one thread, in
/// the order of positions.
template <class T, class G, IndexElement I>
void embedding_backward(Cpu, const Rows& rows, const I* ids, const T* dy, Index vocabulary,
                        DenseTarget<G> dtable) {
  if (!dtable.accumulate)
    parallel_for(vocabulary * rows.width, elementwise_grain,
                 [&](Index begin, Index end) { std::fill(dtable.data + begin, dtable.data + end, G(0)); });
  const Buffer<Cpu> sorted = positions_by_id(ids, rows.count, vocabulary);
  const auto* const order = static_cast<const Index*>(sorted.data());
  const auto run_end = [&](Index k) {
    const I id = ids[order[k]];
    while (k < rows.count && ids[order[k]] == id) ++k;
    return k;
  };
  const Index grain = elementwise_grain / 4 / std::max<Index>(rows.width, 1);
  parallel_for(rows.count, std::max<Index>(grain, 1), [&](Index begin, Index end) {
    if (begin > 0 && ids[order[begin]] == ids[order[begin - 1]]) begin = run_end(begin);
    while (begin < end) {
      const Index last = run_end(begin);
      const DenseTarget<G> table{dtable.data, true};
      add_rows(rows.width, dy, order + begin, last - begin,
               table.row(static_cast<Index>(ids[order[begin]]), rows.width));
      begin = last;
    }
  });
}

}  // namespace burrow::detail
