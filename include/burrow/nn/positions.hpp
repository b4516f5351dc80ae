// How layers know of positions: learned embeddings, rotary embedding, linear biases.
#pragma once

#include <burrow/nn/layers.hpp>
#include <burrow/ops/attention/attention.hpp>
#include <burrow/ops/attention/positions.hpp>
#include <burrow/ops/rotary/rotary.hpp>

namespace burrow {

/// Learned absolute positions: x[..., t, :] + table[first + t, :], [..., T, Width] to the same. The table is
/// [Capacity, Width], normal with deviation 0.02. Throws ShapeError beyond the capacity.
template <Index Capacity, Index Width, class Policy = Float32<Cpu>>
struct PositionEmbedding {
  Parameter<typename Policy::parameter, Shape<Capacity, Width>, typename Policy::device> table{
      init::normal(0.02f)};

  static PositionEmbedding sized(Index capacity, Index width, Initializer rule = init::normal(0.02f)) {
    return {{Shape<Capacity, Width>{{capacity, width}}, rule}};
  }
  /// `first` is the position of the first row, for decoding.
  auto operator()(const auto& x, Index first = 0, Location where = Location::here()) const {
    using S = shape_of<decltype(x)>;
    constexpr Index length = S::extents[S::extents.size() - 2];
    const Index count = x.shape()[-2];
    if (first < 0 || first + count > table.shape()[0])
      throw ShapeError("PositionEmbedding: positions " + std::to_string(first) + " to " +
                       std::to_string(first + count - 1) + " of a table for " +
                       std::to_string(table.shape()[0]) + at(where));
    return detail::map_pair(functors::Add{}, x,
                            cast<typename Policy::compute>(slice<0, length>(table, first, count, where)),
                            where);
  }
};

// Choices of positions for GroupedQueryAttention, with the same two functions each.

/// Positions unknown but for causality.
struct NoPositions {
  /// Queries or keys x, [B, T, heads width], as those of positions from `first` on.
  auto turned(const auto& x, Index, Index, Location = {}) const { return x; }
  /// The attention of queries to keys and values, [B, T, heads width].
  auto attend(const auto& q, const auto& k, const auto& v, Index heads,
              Location where = Location::here()) const {
    return causal_attention(q, k, v, heads, where);
  }
};

/// Rotary position embedding (Su et al. 2021) in Llama's half-split order; see `rotary` for the formula.
struct RotaryEmbedding {
  double base = 10000.0;  ///< of the angles; see `rotary`

  /// Queries or keys x, [B, T, heads width], as those of positions from `first` on.
  auto turned(const auto& x, Index heads, Index first, Location where = Location::here()) const {
    return rotary(x, heads, first, base, where);
  }
  /// The attention of queries to keys and values, [B, T, heads width].
  auto attend(const auto& q, const auto& k, const auto& v, Index heads,
              Location where = Location::here()) const {
    return causal_attention(q, k, v, heads, where);
  }
};

/// Attention with linear biases (Press et al. 2021): scores fall with the distance, at a fixed rate for each
/// head; see `alibi_attention` and `alibi_slopes`.
struct AlibiBiases {
  /// Queries or keys x, [B, T, heads width], as those of positions from `first` on.
  auto turned(const auto& x, Index, Index, Location = {}) const { return x; }
  /// The attention of queries to keys and values, [B, T, heads width].
  auto attend(const auto& q, const auto& k, const auto& v, Index heads,
              Location where = Location::here()) const {
    return alibi_attention(q, k, v, alibi_slopes<compute_type<element_of<decltype(q)>>>(heads), heads, where);
  }
};

}  // namespace burrow
