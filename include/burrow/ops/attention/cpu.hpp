// Causal attention on the CPU: plain, with linear biases, or with Transformer-XL relative positions, in tiles
// that stay in the caches. No array of queries x keys exists: the backward pass computes scores again.
// Key/value heads that serve several query heads are packed once for all of them.
#pragma once

#include <burrow/ops/attention/backward.hpp>
#include <burrow/ops/attention/few_queries.hpp>
#include <burrow/tensor/evaluate.hpp>

namespace burrow::detail {

/// Attention forward: writes `out` [batch, queries, width] and the base-2 logarithm of the sum of 2^score of
/// each row, its scores taken to base 2, [batch, heads, queries].
template <class T>
void attention_forward(Cpu, const AttentionExtents& e, const AttentionOperands<T>& in, T* out,
                       compute_type<T>* log_sums) {
  using namespace cpu::detail;
  if (e.queries == 0) return;
  if (e.queries <= KeyChunks<T>::most_queries) {
    KeyChunks<T> chunks{e, in};
    parallel_tasks(chunks.count(), [&](Index task) { chunks.run(task); });
    return chunks.finish(out, log_sums);
  }
  const Index units = e.batch * e.key_heads;
  const Index parts = attention_parts(units, (e.queries + 127) / 128);
  parallel_tasks(units * parts, [&](Index task) {
    const Index unit = task / parts;
    ForwardHead<T>{e, in, out, log_sums}.run(unit / e.key_heads, unit % e.key_heads, task % parts, parts);
  });
}

/// Attention backward from the gradient of its output. Sums over batch items, the heads that share keys, and
/// query rows run in a fixed order, which depends on extents only.
template <class T>
void attention_backward(Cpu, const AttentionExtents& e, const AttentionOperands<T>& in, const T* out,
                        const compute_type<T>* log_sums, const T* out_gradient,
                        const AttentionGradients<T>& gradients) {
  using namespace cpu::detail;
  using C = compute_type<T>;
  const bool relative = in.positions != nullptr;  // gradients of positions are summed over the items
  const auto distances = DistanceRows::of<C>(e);
  const Index units = e.key_heads * (relative ? 1 : e.batch), items = relative ? e.batch : 1;
  const Index parts = attention_parts(units, (e.queries + 1023) / 1024);
  const GradientSums<C> layout{e, relative ? distances.count : 0, parts > 1 ? items : 1,
                               multiplies_in_amx<T>()};
  const GradientWriter<T> writer{e, layout, gradients};
  const Scratch<C> shared{parts > 1 ? units * parts * layout.size() : 0};
  parallel_tasks(units * parts, [&](Index task) {
    const Index unit = task / parts, key_head = unit % e.key_heads;
    const Scratch<C> own{parts > 1 ? 0 : layout.size()};
    C* const sums = parts > 1 ? shared.data() + task * layout.size() : own.data();
    std::fill_n(sums, layout.size(), C(0));
    BackwardHead<T> head{e, in, out, log_sums, out_gradient, gradients.queries};
    head.take_positions(key_head);
    for (Index i = 0; i < items; ++i) {
      const Index item = relative ? i : unit / e.key_heads;
      if (parts == 1 && i > 0) std::fill_n(layout.keys(sums, 0), 2 * layout.keys_size, C(0));
      head.run(item, key_head, task % parts, parts, layout, sums, parts > 1 ? i : 0);
      if (parts == 1) writer.write_item(sums, 0, item, key_head);
    }
    if (parts == 1 && relative) writer.write_positions(sums, distances, key_head);
  });
  if (parts == 1) return;
  parallel_tasks(units, [&](Index unit) {
    const Index key_head = unit % e.key_heads;
    C* const sums = shared.data() + unit * parts * layout.size();
    writer.add_parts(sums, parts);
    for (Index i = 0; i < items; ++i) writer.write_item(sums, i, relative ? i : unit / e.key_heads, key_head);
    if (relative) writer.write_positions(sums, distances, key_head);
  });
}

}  // namespace burrow::detail
