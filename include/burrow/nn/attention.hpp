// Self-attention layers: causal, and with Transformer-XL relative positions; both decode with a key/value
// cache.
#pragma once

#include <burrow/nn/layers.hpp>
#include <burrow/ops/attention/attention.hpp>
#include <burrow/ops/attention/positions.hpp>

namespace burrow {

/// A number that is part of the type, or for N = dyn known at run time only. No parameter.
template <Index N>
struct Extent {
  constexpr Extent() = default;
  constexpr Extent(Index value) {
    if (value != N)
      throw ShapeError("Extent: " + std::to_string(value) + " where the type says " + std::to_string(N));
  }
  constexpr operator Index() const { return N; }
};
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
  Tensor<T, Shape<1, dyn, Width>, D> keys, values;
  Tensor<T, Shape<dyn, Width>, D> positions;  // projected encodings of the distances 0 .. capacity - 1
  Index length = 0;

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
    std::copy_n(std::as_const(new_keys).data(), count * width, keys.data() + length * width);
    std::copy_n(std::as_const(new_values).data(), count * width, values.data() + length * width);
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

/// Causal self-attention of Heads heads with Transformer-XL relative positions (Dai et al. 2019), as in
/// Gopher: queries, keys, values and positions are projected without biases, the output with one; u and v,
/// here `content_bias` and `position_bias`, belong to this layer. [B, T, Width] to [B, T, Width]; see
/// `relative_attention` for the formula.
template <Index Width, Index Heads, Index HeadWidth, class Policy = Float32<Cpu>>
struct RelativeAttention {
  static constexpr Index inner = extent_product(Heads, HeadWidth);
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

  auto operator()(const auto& x) const {
    const auto in = operand(tape_of(x), x);
    const auto encodings = sinusoids<Width, compute, typename Policy::device>(in.shape()[1], in.shape()[2]);
    return output(relative_attention(query(in), key(in), value(in), position(beside(in, encodings)),
                                     cast<compute>(content_bias), cast<compute>(position_bias), heads));
  }

  /// Room for `capacity` tokens, with the projected positions computed once.
  cache_type cache(Index capacity) const {
    const Index width = query.weight.shape()[0];
    cache_type result{capacity, query.weight.shape()[1]};
    result.positions = position(sinusoids<Width, compute, typename Policy::device>(capacity, width));
    return result;
  }

  /// The next tokens of one sequence [1, T, Width], given the cached ones before them, which they join.
  auto operator()(const auto& x, cache_type& past) const {
    past.append(key(x), value(x));
    return output(relative_attention(query(x), past.filled(past.keys, past.length),
                                     past.filled(past.values, past.length), past.positions,
                                     cast<compute>(content_bias), cast<compute>(position_bias), heads));
  }
};

/// Causal self-attention of Heads heads without positions: [B, T, Width] to [B, T, Width]. All projections
/// have biases.
template <Index Width, Index Heads, class Policy = Float32<Cpu>>
struct CausalSelfAttention {
  Linear<Width, Width, Policy> query, key, value, output;
  [[no_unique_address]] Extent<Heads> heads{};

  auto operator()(const auto& x) const {
    const auto in = operand(tape_of(x), x);
    return output(causal_attention(query(in), key(in), value(in), heads));
  }
};

}  // namespace burrow
