// Causal self-attention layers: plain, with shared heads of keys and values and a choice of positions, and
// with Transformer-XL relative positions. All decode with a key/value cache.
#pragma once

#include <burrow/nn/positions.hpp>

namespace burrow {

/// A number that is part of the type, or for N = dyn known at run time only. No parameter.
template <Index N>
struct Extent {
  constexpr Extent() = default;
  constexpr Extent(Index value, Location where = Location::here()) {
    if (value != N)
      throw ShapeError("Extent: " + std::to_string(value) + " where the type says " + std::to_string(N) +
                       at(where));
  }
  constexpr operator Index() const { return N; }
};
/// An extent that is given at run time.
template <>
struct Extent<dyn> {
  constexpr Extent(Index value = 0) : value_{value} {}
  constexpr operator Index() const { return value_; }

 private:
  Index value_;
};

/// a times b, dyn where one is.
constexpr Index extent_product(Index a, Index b) { return a == dyn || b == dyn ? dyn : a * b; }

/// Keys and values of the tokens seen so far, for decoding one sequence: [1, capacity, Width].
template <Index Width, Element T, class D = Cpu>
struct AttentionCache {
  Tensor<T, Shape<1, dyn, Width>, D> keys, values;  ///< of which the first `length` tokens are filled
  Tensor<T, Shape<dyn, Width>, D> positions;  ///< projected encodings of the distances 0 .. capacity - 1
  Index length = 0;                           ///< tokens seen so far

  AttentionCache(Index capacity, Index width)
      : keys{Shape<1, dyn, Width>{{1, capacity, width}}},
        values{Shape<1, dyn, Width>{{1, capacity, width}}},
        positions{Shape<dyn, Width>{{0, width}}} {}

  Index capacity() const { return keys.shape()[1]; }

  /// Adds the keys and values [1, count, Width] of the next tokens; throws ShapeError where they do not fit.
  template <class K, class V>
  void append(const K& k, const V& v, Location where = Location::here()) {
    const Index count = k.shape()[1], width = k.shape()[2];
    if (length + count > capacity())
      throw ShapeError("AttentionCache: " + std::to_string(length + count) + " tokens in a cache of " +
                       std::to_string(capacity()) + at(where));
    const auto new_keys = materialize(k);
    const auto new_values = materialize(v);
    static_assert(std::same_as<element_of<K>, T> && std::same_as<element_of<V>, T>);
    const Index bytes = count * width * Index{sizeof(T)};
    copy_bytes(D{}, D{}, keys.data() + length * width, std::as_const(new_keys).data(), bytes);
    copy_bytes(D{}, D{}, values.data() + length * width, std::as_const(new_values).data(), bytes);
    length += count;
  }

  /// The filled part of keys or values.
  static View<T, Shape<1, dyn, Width>, D> filled(const Tensor<T, Shape<1, dyn, Width>, D>& all,
                                                 Index length) {
    const auto leaf = all.leaf();
    return {Buffer<D>{leaf.storage()}, const_cast<T*>(leaf.data()),
            Shape<1, dyn, Width>{{1, length, all.shape()[2]}}};
  }
};

namespace detail {

/// What the heads of a layer with relative positions give for x, beside each other.
template <class Layer, class X>
auto relative_heads(const Layer& layer, const X& x, Location where) {
  using C = typename Layer::compute;
  const auto encodings = sinusoids<Layer::model_width, C, device_of<X>>(x.shape()[1], x.shape()[2], where);
  return relative_attention(layer.query(x, where), layer.key(x, where), layer.value(x, where),
                            layer.position(beside(x, encodings), where), cast<C>(layer.content_bias),
                            cast<C>(layer.position_bias), layer.heads, where);
}

/// The same for the next tokens, given the cached ones before them, which they join.
template <class Layer, class X>
auto relative_heads(const Layer& layer, const X& x, typename Layer::cache_type& past, Location where) {
  using C = typename Layer::compute;
  past.append(layer.key(x, where), layer.value(x, where), where);
  return relative_attention(layer.query(x, where), past.filled(past.keys, past.length),
                            past.filled(past.values, past.length), past.positions,
                            cast<C>(layer.content_bias), cast<C>(layer.position_bias), layer.heads, where);
}

/// Room for `capacity` tokens, with the projected positions computed once.
template <class D, class Layer>
typename Layer::cache_type relative_cache(const Layer& layer, Index capacity) {
  const Index width = layer.query.weight.shape()[0];
  typename Layer::cache_type result{capacity, layer.query.weight.shape()[1]};
  result.positions =
      layer.position(sinusoids<Layer::model_width, typename Layer::compute, D>(capacity, width));
  return result;
}

}  // namespace detail

/// Causal self-attention of Heads heads with Transformer-XL relative positions (Dai et al. 2019), as in
/// Gopher: queries, keys, values and positions are projected without biases, the output with one; u and v,
/// here `content_bias` and `position_bias`, belong to this layer. [B, T, Width] to [B, T, Width]; see
/// `relative_attention` for the formula.
template <Index Width, Index Heads, Index HeadWidth, class Policy = Float32<Cpu>>
struct RelativeAttention {
  static constexpr bool mixes_rows = true;  ///< of a sequence
  static constexpr Index model_width = Width, inner = extent_product(Heads, HeadWidth);
  using compute = typename Policy::compute;
  using cache_type = AttentionCache<inner, compute, typename Policy::device>;

  Projection<Width, inner, Policy> query, key, value, position;
  Parameter<typename Policy::parameter, Shape<inner>, typename Policy::device> content_bias{
      init::normal(0.02f)};
  Parameter<typename Policy::parameter, Shape<inner>, typename Policy::device> position_bias{
      init::normal(0.02f)};
  Linear<inner, Width, Policy> output;
  [[no_unique_address]] Extent<Heads> heads{};

  static RelativeAttention sized(Index width, Index heads, Index head_width, Initializer in = init::fan_in(),
                                 Initializer out = init::fan_in()) {
    const Index all = heads * head_width;
    using P = Projection<Width, inner, Policy>;
    return {P::sized(width, all, in),
            P::sized(width, all, in),
            P::sized(width, all, in),
            P::sized(width, all, in),
            {Shape<inner>{{all}}, init::normal(0.02f)},
            {Shape<inner>{{all}}, init::normal(0.02f)},
            Linear<inner, Width, Policy>::sized(all, width, out),
            {heads}};
  }

  auto operator()(const auto& x, Location where = Location::here()) const {
    return output(detail::relative_heads(*this, operand(tape_of(x), x), where), where);
  }

  /// Room for `capacity` tokens, with the projected positions computed once.
  cache_type cache(Index capacity) const {
    return detail::relative_cache<typename Policy::device>(*this, capacity);
  }
  /// The next tokens of one sequence [1, T, Width], given the cached ones before them, which they join.
  auto operator()(const auto& x, cache_type& past, Location where = Location::here()) const {
    return output(detail::relative_heads(*this, x, past, where), where);
  }
};

/// Causal self-attention of Heads heads without positions (Vaswani et al. 2017): [B, T, Width] to [B, T,
/// Width]. All projections have biases.
template <Index Width, Index Heads, class Policy = Float32<Cpu>>
struct CausalSelfAttention {
  static constexpr bool mixes_rows = true;  ///< of a sequence
  using cache_type = AttentionCache<Width, typename Policy::compute, typename Policy::device>;

  Linear<Width, Width, Policy> query, key, value, output;
  [[no_unique_address]] Extent<Heads> heads{};

  static CausalSelfAttention sized(Index width, Index heads, Initializer in = init::fan_in(),
                                   Initializer out = init::fan_in()) {
    using L = Linear<Width, Width, Policy>;
    return {L::sized(width, width, in),
            L::sized(width, width, in),
            L::sized(width, width, in),
            L::sized(width, width, out),
            {heads}};
  }

  auto operator()(const auto& x, Location where = Location::here()) const {
    const auto in = operand(tape_of(x), x);
    return output(causal_attention(query(in, where), key(in, where), value(in, where), heads, where), where);
  }

  /// Room for `capacity` tokens.
  cache_type cache(Index capacity) const { return {capacity, key.weight.shape()[1]}; }

  /// The next tokens of one sequence [1, T, Width], given the cached ones before them, which they join.
  auto operator()(const auto& x, cache_type& past, Location where = Location::here()) const {
    past.append(key(x, where), value(x, where), where);
    return output(causal_attention(query(x, where), past.filled(past.keys, past.length),
                                   past.filled(past.values, past.length), heads, where),
                  where);
  }
};

/// Causal self-attention whose Heads query heads share KeyValueHeads heads of keys and values (Ainslie et al.
/// 2023; one is Shazeer's multi-query attention, as many as Heads the usual one): [B, T, Width] to [B, T,
/// Width], no biases. Heads are Width / Heads wide. Positions says how heads know of positions:
/// RotaryEmbedding as in Llama, AlibiBiases, or NoPositions.
template <Index Width, Index Heads, Index KeyValueHeads = Heads, class Positions = RotaryEmbedding,
          class Policy = Float32<Cpu>>
struct GroupedQueryAttention {
  static constexpr bool mixes_rows = true;  ///< of a sequence
  static constexpr bool known = Width != dyn && Heads != dyn && KeyValueHeads != dyn;
  static_assert(!known || (Heads > 0 && Width % Heads == 0),
                "GroupedQueryAttention: the width is not a multiple of the heads");
  static_assert(!known || (KeyValueHeads > 0 && Heads % KeyValueHeads == 0),
                "GroupedQueryAttention: the heads are not a multiple of the key/value heads");
  static constexpr Index shared = known ? Width / Heads * KeyValueHeads : dyn;
  using cache_type = AttentionCache<shared, typename Policy::compute, typename Policy::device>;

  Projection<Width, Width, Policy> query;
  Projection<Width, shared, Policy> key, value;
  Projection<Width, Width, Policy> output;
  [[no_unique_address]] Positions positions{};
  [[no_unique_address]] Extent<Heads> heads{};

  static GroupedQueryAttention sized(Index width, Index heads, Index key_value_heads,
                                     Positions positions = {}, Initializer in = init::fan_in(),
                                     Initializer out = init::fan_in(), Location where = Location::here()) {
    if (heads <= 0 || width % heads != 0 || key_value_heads <= 0 || heads % key_value_heads != 0)
      throw ShapeError("GroupedQueryAttention: " + std::to_string(heads) + " heads and " +
                       std::to_string(key_value_heads) + " key/value heads do not share a width of " +
                       std::to_string(width) + at(where));
    using AllHeads = Projection<Width, Width, Policy>;
    using Shared = Projection<Width, shared, Policy>;
    const Index inner = width / heads * key_value_heads;
    return {AllHeads::sized(width, width, in),
            Shared::sized(width, inner, in),
            Shared::sized(width, inner, in),
            AllHeads::sized(width, width, out),
            positions,
            {heads}};
  }

  Index key_value_heads() const {
    return key.weight.shape()[1] / std::max<Index>(query.weight.shape()[1] / heads, 1);
  }

  auto operator()(const auto& x, Location where = Location::here()) const {
    const auto in = operand(tape_of(x), x);
    return output(positions.attend(positions.turned(query(in, where), heads, 0, where),
                                   positions.turned(key(in, where), key_value_heads(), 0, where),
                                   value(in, where), heads, where),
                  where);
  }

  /// Room for `capacity` tokens. The cache holds the turned keys.
  cache_type cache(Index capacity) const { return {capacity, key.weight.shape()[1]}; }

  /// The next tokens of one sequence [1, T, Width], given the cached ones before them, which they join.
  auto operator()(const auto& x, cache_type& past, Location where = Location::here()) const {
    const Index first = past.length;
    past.append(positions.turned(key(x, where), key_value_heads(), first, where), value(x, where), where);
    return output(positions.attend(positions.turned(query(x, where), heads, first, where),
                                   past.filled(past.keys, past.length), past.filled(past.values, past.length),
                                   heads, where),
                  where);
  }
};

/// Causal self-attention with linear biases (Press et al. 2021).
template <Index Width, Index Heads, class Policy = Float32<Cpu>>
using AlibiAttention = GroupedQueryAttention<Width, Heads, Heads, AlibiBiases, Policy>;

}  // namespace burrow
