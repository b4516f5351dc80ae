// Causal attention of many heads: plain, with linear biases, and with Transformer-XL relative positions. No
// array of queries x keys is stored between the passes: the backward pass computes the scores again, block by
// block.
#pragma once

#include <burrow/autodiff/trace.hpp>
#include <burrow/ops/attention/cpu.hpp>

namespace burrow {

namespace detail {

/// Widths of queries and keys that may meet: the keys have as many heads, or fewer that are shared evenly.
constexpr bool head_widths_meet(Index queries, Index keys) {
  return queries == dyn || keys == dyn || keys == queries || (keys > 0 && queries % keys == 0);
}

template <class Q, class K>
concept AttentionShapes = shape_of<Q>::rank == 3 && shape_of<K>::rank == 3 &&
                          head_widths_meet(shape_of<Q>::extents[2], shape_of<K>::extents[2]);

/// The extents of queries q and of keys k and values v; `shared` says that fewer key heads are allowed.
template <class Q, class K, class V>
AttentionExtents attention_extents(const char* name, const Q& q, const K& k, const V& v, Index heads,
                                   bool shared, Location where) {
  if (heads <= 0 || q[2] % heads != 0)
    throw ShapeError(std::string(name) + ": a width of " + std::to_string(q[2]) + " is not a multiple of " +
                     std::to_string(heads) + " heads" + at(where));
  const Index head_width = std::max<Index>(q[2] / heads, 1), key_heads = k[2] / head_width;
  const bool widths_fit =
      k[2] == q[2] || (shared && k[2] % head_width == 0 && key_heads > 0 && heads % key_heads == 0);
  if (k.values() != v.values() || k[0] != q[0] || !widths_fit || k[1] < q[1])
    throw ShapeError(std::string(name) + ": queries " + q.text() + " do not fit keys " + k.text() +
                     " and values " + v.text() + "; keys are at least as many as queries" + at(where));
  return {q[0], q[1], k[1], heads, q[2] / heads, k[2] == q[2] ? heads : key_heads};
}

/// What attention takes: a product of head width with queries, keys and values for each pair that the mask
/// leaves, and one more with positions; the backward pass has two for each, what it computes again not
/// counted. Bytes of queries, keys, values and result, in the backward pass of their gradients too.
inline Work attention_work(const AttentionExtents& e, int products, bool backward, Index element_bytes) {
  const double q = static_cast<double>(e.queries), pairs = q * static_cast<double>(e.keys) - q * (q - 1) / 2;
  const double elements = static_cast<double>(2 * e.batch * (e.queries * e.width() + e.keys * e.key_width()));
  return {2 * pairs * static_cast<double>(e.batch * e.width()) * products * (backward ? 2 : 1),
          elements * static_cast<double>(element_bytes) * (backward ? 2 : 1)};
}

/// Attention of dense operands; slopes are [heads], or nothing.
template <class TapeLike, class Q, class K, class V, class Slopes>
auto attend(TapeLike tape, const char* name, const AttentionExtents& e, const Q& q, const K& k, const V& v,
            const Slopes& slopes) {
  using T = element_of<Q>;
  using D = device_of<Q>;
  const AttentionOperands<T> in{q.view().data(),
                                k.view().data(),
                                v.view().data(),
                                nullptr,
                                nullptr,
                                nullptr,
                                slopes.size() > 0 ? slopes.data() : nullptr};
  Tensor<T, shape_of<Q>, D> out{q.shape()};
  Tensor<compute_type<T>, Shape<dyn>, D> log_sums{Shape<dyn>{{e.batch * e.heads * e.queries}}};
  attention_forward(D{}, e, in, out.data(), log_sums.data());
  if (observed()) tell_work(attention_work(e, 2, false, sizeof(T)));
  return record(
      tape, name, out,
      [q, k, v, e, in, out, log_sums, slopes](const auto& dy) {
        if (observed()) tell_work(attention_work(e, 2, true, sizeof(T)));
        Tensor<T, shape_of<Q>, D> dq{q.shape()};
        Tensor<T, shape_of<K>, D> dk{k.shape()};
        Tensor<T, shape_of<V>, D> dv{v.shape()};
        attention_backward(D{}, e, in, out.data(), log_sums.data(), dy.data(),
                           {dq.data(), dk.data(), dv.data()});
        add_gradient(q, dq);
        add_gradient(k, dk);
        add_gradient(v, dv);
      },
      q, k, v);
}

}  // namespace detail

/// Causal attention: out_i = sum_j softmax_j(q_i . k_j / sqrt(head width)) v_j over j <= i + memory, for each
/// head. Queries are [batch, T, width], keys and values [batch, K, width] with K >= T; the K - T first keys
/// are memory. Heads split the width evenly. Keys and values may have fewer heads, [batch, K, key heads *
/// head width] with `heads` a multiple of the key heads: each then serves the next heads / key heads queries
/// (grouped-query attention, Ainslie et al. 2023; one key head is Shazeer's multi-query attention), without
/// copies. Softmax in fp32 (double for double). Memory grows with T + K, not with their product.
template <Expression Q, Expression K, Expression V>
requires(detail::AttentionShapes<Q, K>&& detail::AttentionShapes<Q, V>) auto causal_attention(
    const Q& queries, const K& keys, const V& values, Index heads, Location where = Location::here()) {
  const auto tape = tape_of(queries, keys, values);
  const auto q = dense_operand(tape, queries);
  const auto k = dense_operand(tape, keys);
  const auto v = dense_operand(tape, values);
  const auto e =
      detail::attention_extents("causal_attention", q.shape(), k.shape(), v.shape(), heads, true, where);
  const Tensor<compute_type<element_of<Q>>, Shape<dyn>, device_of<Q>> no_slopes{Shape<dyn>{{0}}};
  return detail::attend(tape, "causal_attention", e, q, k, v, no_slopes);
}

/// Causal attention with linear biases (ALiBi, Press et al. 2021): score(i, j) = q_i . k_j / sqrt(head width)
/// - slope_h (i + memory - j). `slopes` is [heads], constants without a gradient, see `alibi_slopes`.
/// Otherwise as `causal_attention`.
template <Expression Q, Expression K, Expression V, Expression Slopes>
requires(detail::AttentionShapes<Q, K>&& detail::AttentionShapes<Q, V>&& shape_of<Slopes>::rank == 1 &&
         !Traced<Slopes>) auto alibi_attention(const Q& queries, const K& keys, const V& values,
                                               const Slopes& slopes, Index heads,
                                               Location where = Location::here()) {
  const auto tape = tape_of(queries, keys, values);
  const auto q = dense_operand(tape, queries);
  const auto k = dense_operand(tape, keys);
  const auto v = dense_operand(tape, values);
  const auto e =
      detail::attention_extents("alibi_attention", q.shape(), k.shape(), v.shape(), heads, true, where);
  if (slopes.shape()[0] != heads)
    throw ShapeError("alibi_attention: slopes " + slopes.shape().text() + " for " + std::to_string(heads) +
                     " heads" + at(where));
  const Tensor<compute_type<element_of<Q>>, Shape<dyn>, device_of<Q>> constants{
      cast<compute_type<element_of<Q>>>(slopes)};
  return detail::attend(tape, "alibi_attention", e, q, k, v, constants);
}

/// Causal attention with Transformer-XL relative positions (Dai et al. 2019):
/// score(i, j) = [(q_i + content_bias) . k_j + (q_i + position_bias) . r_delta] / sqrt(head width), delta = i
/// + memory - j >= 0. `positions` is [>= K, width]: row delta is the projected encoding of distance delta;
/// the biases are [width]. Otherwise as `causal_attention`.
template <Expression Q, Expression K, Expression V, Expression R, Expression U, Expression W>
requires(detail::AttentionShapes<Q, K>&& detail::AttentionShapes<Q, V>&& shape_of<R>::rank == 2 &&
         shape_of<U>::rank == 1 &&
         shape_of<W>::rank == 1) auto relative_attention(const Q& queries, const K& keys, const V& values,
                                                         const R& positions, const U& content_bias,
                                                         const W& position_bias, Index heads,
                                                         Location where = Location::here()) {
  using T = element_of<Q>;
  using D = device_of<Q>;
  const auto tape = tape_of(queries, keys, values, positions, content_bias, position_bias);
  const auto q = dense_operand(tape, queries);
  const auto k = dense_operand(tape, keys);
  const auto v = dense_operand(tape, values);
  const auto r = dense_operand(tape, positions);
  const auto u = dense_operand(tape, content_bias);
  const auto w = dense_operand(tape, position_bias);
  const auto e =
      detail::attention_extents("relative_attention", q.shape(), k.shape(), v.shape(), heads, false, where);
  if (r.shape()[0] < e.keys || r.shape()[1] != e.width() || u.shape()[0] != e.width() ||
      w.shape()[0] != e.width())
    throw ShapeError("relative_attention: positions " + r.shape().text() + " and biases " + u.shape().text() +
                     ", " + w.shape().text() + " do not fit keys " + k.shape().text() + at(where));
  const detail::AttentionOperands<T> in{q.view().data(), k.view().data(), v.view().data(),
                                        r.view().data(), u.view().data(), w.view().data()};
  Tensor<T, shape_of<Q>, D> out{q.shape()};
  Tensor<compute_type<T>, Shape<dyn>, D> log_sums{Shape<dyn>{{e.batch * e.heads * e.queries}}};
  attention_forward(D{}, e, in, out.data(), log_sums.data());
  if (detail::observed()) detail::tell_work(detail::attention_work(e, 3, false, sizeof(T)));
  return record(
      tape, "relative_attention", out,
      [q, k, v, r, u, w, e, in, out, log_sums](const auto& dy) {
        if (detail::observed()) detail::tell_work(detail::attention_work(e, 3, true, sizeof(T)));
        Tensor<T, shape_of<Q>, D> dq{q.shape()};
        Tensor<T, shape_of<K>, D> dk{k.shape()};
        Tensor<T, shape_of<V>, D> dv{v.shape()};
        Tensor<T, shape_of<R>, D> dr{r.shape()};
        Tensor<T, shape_of<U>, D> du{u.shape()};
        Tensor<T, shape_of<W>, D> dw{w.shape()};
        const Index used = e.keys * e.width();
        if (dr.size() > used)  // distances nobody has
          fill_zero(D{}, dr.data() + used, (dr.size() - used) * Index{sizeof(T)});
        attention_backward(D{}, e, in, out.data(), log_sums.data(), dy.data(),
                           {dq.data(), dk.data(), dv.data(), dr.data(), du.data(), dw.data()});
        add_gradient(q, dq);
        add_gradient(k, dk);
        add_gradient(v, dv);
        add_gradient(r, dr);
        add_gradient(u, du);
        add_gradient(w, dw);
      },
      q, k, v, r, u, w);
}

// What attention refuses.
namespace operation {
struct causal_attention;
struct relative_attention;
}  // namespace operation
template <Expression Q, Expression K, Expression V>
requires(!detail::AttentionShapes<Q, K> ||
         !detail::AttentionShapes<Q, V>) auto causal_attention(const Q&, const K&, const V&, Index,
                                                               Location = {})
    -> misuse::shapes_do_not_fit<operation::causal_attention, shape_of<Q>, shape_of<K>, shape_of<V>>;
template <Expression Q, Expression K, Expression V, Expression R, Expression U, Expression W>
requires(!detail::AttentionShapes<Q, K> || !detail::AttentionShapes<Q, V> || shape_of<R>::rank != 2 ||
         shape_of<U>::rank != 1 ||
         shape_of<W>::rank != 1) auto relative_attention(const Q&, const K&, const V&, const R&, const U&,
                                                         const W&, Index, Location = {})
    -> misuse::shapes_do_not_fit<operation::relative_attention, shape_of<Q>, shape_of<K>, shape_of<V>,
                                 shape_of<R>, shape_of<U>, shape_of<W>>;

}  // namespace burrow
