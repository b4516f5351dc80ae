// What an attention is given, on every device: its extents, its operands and where gradients go.
#pragma once

#include <burrow/core/dtype.hpp>
#include <burrow/core/shape.hpp>

namespace burrow::detail {

/// log2 e: scores are kept in base 2, so that a probability is a power of two.
inline constexpr double log2_e = 1.442695040888963407;

/// Extents of one attention: `memory` = keys - queries is how many keys come before the first query; each of
/// the `key_heads` heads of keys and values serves the next `group` query heads.
struct AttentionExtents {
  Index batch, queries, keys, heads, head_width, key_heads;
  constexpr Index width() const { return heads * head_width; }
  constexpr Index key_width() const { return key_heads * head_width; }
  constexpr Index group() const { return heads / key_heads; }
  constexpr Index memory() const { return keys - queries; }
};

/// Operands of one attention; queries [batch, queries, width], keys and values [batch, keys, key_width].
/// Where `positions` is not null it is [>= keys, width], row delta for distance delta, and the biases are
/// [width]; as many key heads as heads then. Where `slopes` is not null, it is [heads]: a score falls by its
/// head's slope for each step of distance.
template <class T>
struct AttentionOperands {
  const T *queries, *keys, *values;
  const T *positions = nullptr, *content_bias = nullptr, *position_bias = nullptr;
  const compute_type<T>* slopes = nullptr;
};

/// Gradients of the operands, each of its operand's shape; all are written.
template <class T>
struct AttentionGradients {
  T *queries, *keys, *values;
  T *positions = nullptr, *content_bias = nullptr, *position_bias = nullptr;
};

}  // namespace burrow::detail
