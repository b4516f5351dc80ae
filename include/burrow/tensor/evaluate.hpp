// Evaluation of an expression on the CPU: one fused pass, in packets, on all threads.
#pragma once

#include <algorithm>

#include <burrow/core/parallel.hpp>
#include <burrow/core/streaming.hpp>
#include <burrow/tensor/cursor.hpp>
#include <burrow/tensor/functors.hpp>

namespace burrow::detail {

/// Elements to a thread below which a loop is not worth splitting.
inline constexpr Index elementwise_grain = Index{1} << 15;

/// A packet written as elements of type T.
template <class T, class P>
void store_packet(T* out, P value, Index count, bool full) {
  if (full)
    value.store(out);
  else
    value.store(out, count);
}
template <class T, class M, int N>
void store_packet(T* out, Mask<M, N> value, Index count, bool full) {
  store_packet(out, convert<M>(value), count, full);
}

/// body(i, count, full?) over [begin, end) in steps of N. Inlined, so that what the body uses may live in
/// registers.
template <int N, class Body>
[[gnu::always_inline]] inline void for_packets(Index begin, Index end, const Body& body) {
  Index i = begin;
  for (; i + N <= end; i += N) body.template operator()<true>(i, Index{N});
  if constexpr (N > 1)
    if (i < end) body.template operator()<false>(i, end - i);
}

/// row(row index, begin, end) over a nest, in parallel: whole rows, or pieces of the only row.
template <int N, class Nest, class Row>
void for_rows(const Nest& nest, const Row& row) {
  if (nest.inner <= 0) return;
  const bool one = nest.rows == 1;
  const Index packets = (nest.inner + N - 1) / N;
  const Index count = one ? packets : nest.rows;
  const Index grain = one ? elementwise_grain / N : std::max<Index>(1, elementwise_grain / nest.inner);
  parallel_for(count, grain, [&](Index begin, Index end) {
    const Index first = one ? 0 : begin, last = one ? 1 : end;
    row(first, last, one ? begin * N : 0, one ? std::min(end * N, nest.inner) : nest.inner);
  });
}

/// A node without the cast that storing its values as T makes anyway.
template <class T, class Node>
const auto& without_cast(const Node& node) {
  return node;
}
template <Narrow T, class Node>
const auto& without_cast(const Map<functors::Cast<T>, Node>& node) {
  return get<0>(node.arguments());
}

/// Elements [begin, end) of a row at `to`, in packets that the cursor gives. Those that are streamed are
/// written to the first cache, a page at a time, and from there past all caches.
template <class Loop, class T, class Cursor>
[[gnu::always_inline]] inline void write_row(Cursor& cursor, Index begin, Index end, bool streamed, T* to) {
  constexpr int n = Loop::lanes_used;
  alignas(64) std::byte page[stream_bytes];
  for (Index last; begin < end; begin = last) {
    last = streamed ? std::min(begin + stream_bytes / Index{sizeof(T)}, end) : end;
    T* const at = streamed ? reinterpret_cast<T*>(page) : to + begin;
    for_packets<n>(begin, last, [&]<bool Full>(Index i, Index count) {
      store_packet(at + (i - begin), cursor.template at<typename Loop::base, n, Full>(i, count), count, Full);
    });
    if (streamed) stream(to + begin, at, (last - begin) * Index{sizeof(T)});
  }
}

/// The loop of `evaluate`.
template <class Loop, class T, class Nest, class Source>
void evaluate_loop(const Nest& nest, const Source& source, T* out) {
  const bool streamed = is_streamed(nest.rows * nest.inner * Index{sizeof(T)});
  for_rows<Loop::lanes_used>(nest, [&](Index first, Index last, Index begin, Index end) {
    auto cursor = source;
    for (Index r = first; r < last; ++r) {
      cursor.seek(nest.coordinates(r));
      write_row<Loop>(cursor, begin, end, streamed, out + r * nest.inner);
    }
    if (streamed) finish_streams();
  });
}

/// The lanes of a packet written as elements that are `stride` apart.
template <int N, class T, class P>
void scatter_packet(T* out, Index stride, P value, Index count) {
  alignas(64) T lane[N];
  store_packet(lane, value, Index{N}, true);
  for (Index i = 0; i < count; ++i) out[i * stride] = lane[i];
}

/// The loop of `evaluate_into`.
template <class Loop, bool UnitInner, class T, std::size_t OuterRank, class Source>
void evaluate_into_loop(const LoopNest<OuterRank>& nest, const Source& source, T* out,
                        const Steps<OuterRank>& steps) {
  constexpr int n = Loop::lanes_used;
  const bool streamed = UnitInner && is_streamed(nest.rows * nest.inner * Index{sizeof(T)});
  for_rows<n>(nest, [&](Index first, Index last, Index begin, Index end) {
    auto cursor = source;
    for (Index r = first; r < last; ++r) {
      const auto coordinates = nest.coordinates(r);
      cursor.seek(coordinates);
      T* const to = out + steps.row_offset(coordinates);
      if constexpr (UnitInner)
        write_row<Loop>(cursor, begin, end, streamed, to);
      else
        for_packets<n>(begin, end, [&]<bool Full>(Index i, Index count) {
          scatter_packet<n>(to + i * steps.inner, steps.inner,
                            cursor.template at<typename Loop::base, n, Full>(i, count), count);
        });
    }
    if (streamed) finish_streams();
  });
}

/// Writes an expression that broadcasts to Out to a part of an array: elements at any strides, of which the
/// last Gapless axes lie in memory without gaps.
template <int Gapless, class T, class Out, class Node>
void evaluate_into(Cpu, const Node& node, const Out& shape, T* out,
                   const std::array<Index, Out::extents.size()>& strides) {
  constexpr int inner = std::min(inner_axes<Out, Node>(), std::max(Gapless, 1));
  evaluate_into_loop<LoopOf<Node>, (Gapless > 0)>(loop_nest<inner>(shape), lowered<Out, inner>(node), out,
                                                  steps_of<Out, Out, inner>(strides));
}

/// Writes an expression of shape Out, row-major, to `out`.
template <class T, class Out, class Expression>
void evaluate(Cpu, const Expression& expression, const Out& shape, T* out) {
  const auto& node = without_cast<T>(expression);
  using Node = std::remove_cvref_t<decltype(node)>;
  constexpr int inner = inner_axes<Out, Node>();
  evaluate_loop<LoopOf<Node>>(loop_nest<inner>(shape), lowered<Out, inner>(node), out);
}

}  // namespace burrow::detail
