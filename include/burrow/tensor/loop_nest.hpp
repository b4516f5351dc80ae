// The loop nest of an expression: the trailing axes that every leaf walks alike are collapsed at compile time
// into one inner loop over packets; the remaining axes are rows. Nests and steps forget the shapes they come
// from, so that the loops over them are compiled once for all shapes.
#pragma once

#include <array>
#include <utility>

#include <burrow/tensor/expression.hpp>

namespace burrow::detail {

/// For each axis of Out, whether a leaf of shape S repeats along it.
template <class S, class Out>
constexpr auto broadcast_mask() {
  std::array<bool, Out::extents.size()> mask{};
  for (std::size_t i = 0; i < mask.size(); ++i)
    mask[i] = aligned_extent(S::extents, mask.size(), i) == 1 && Out::extents[i] != 1;
  return mask;
}

template <class Node, class Out>
constexpr bool may_extend(std::size_t axis) {
  if constexpr (Node::is_leaf) {
    constexpr auto mask = broadcast_mask<typename Node::shape_type, Out>();
    bool any = false, all = true;
    for (std::size_t i = axis; i < mask.size(); ++i) {
      if (Out::extents[i] == 1) continue;
      any = any || mask[i];
      all = all && mask[i];
    }
    if constexpr (is_scalar_node<Node>)
      return true;
    else
      return all || (!any && Node::contiguous);
  } else {
    return []<class F, class... Args>(const Map<F, Args...>*, std::size_t a) {
      return (may_extend<Args, Out>(a) && ...);
    }(static_cast<const Node*>(nullptr), axis);
  }
}

/// Number of trailing axes of Out that all the nodes walk as one.
template <class Out, class... Nodes>
constexpr int inner_axes() {
  if (Out::rank == 0) return 0;
  int count = 1;
  while (count < Out::rank &&
         (may_extend<Nodes, Out>(static_cast<std::size_t>(Out::rank - count - 1)) && ...))
    ++count;
  return count;
}

/// `rows` rows of `inner` elements; a row has OuterRank coordinates.
template <std::size_t OuterRank>
struct LoopNest {
  std::array<Index, OuterRank> outer{};
  Index rows = 1;
  Index inner = 1;

  explicit LoopNest(std::span<const Index> extents) {
    for (std::size_t i = 0; i < extents.size(); ++i) {
      if (i < OuterRank) outer[i] = extents[i];
      (i < OuterRank ? rows : inner) *= extents[i];
    }
  }

  constexpr std::array<Index, OuterRank> coordinates(Index row) const {
    std::array<Index, OuterRank> result{};
    if constexpr (OuterRank == 1) {
      result[0] = row;
    } else {
      for (std::size_t i = OuterRank; i-- > 0;) {
        result[i] = row % outer[i];
        row /= outer[i];
      }
    }
    return result;
  }
};

/// The nest over a shape whose last Inner axes are collapsed.
template <int Inner, class Out>
auto loop_nest(const Out& shape) {
  return LoopNest<static_cast<std::size_t>(Out::rank - Inner)>{shape.values()};
}

/// How a leaf moves along the inner loop.
enum class InnerWalk { repeat, unit, strided };

template <class S, class Out, int Inner, bool UnitInner>
inline constexpr InnerWalk inner_walk = [] {
  constexpr auto mask = broadcast_mask<S, Out>();
  bool moves = false;
  for (std::size_t i = static_cast<std::size_t>(Out::rank - Inner); i < mask.size(); ++i)
    moves = moves || (!mask[i] && Out::extents[i] != 1);
  return !moves ? InnerWalk::repeat : UnitInner ? InnerWalk::unit : InnerWalk::strided;
}();

/// The distances between neighbours of a leaf along the axes of a nest; 0 where it repeats.
template <std::size_t OuterRank>
struct Steps {
  std::array<Index, OuterRank> outer{};
  Index inner = 1;

  Steps() = default;
  /// From the strides of a leaf with fewer axes than the nest, or as many.
  Steps(std::span<const bool> repeats, std::span<const Index> strides) {
    const std::size_t missing = repeats.size() - strides.size();
    for (std::size_t i = missing; i < repeats.size(); ++i) {
      const Index step = repeats[i] ? 0 : strides[i - missing];
      if (i < OuterRank)
        outer[i] = step;
      else
        inner = step;
    }
  }

  constexpr Index row_offset(const std::array<Index, OuterRank>& coordinates) const {
    Index offset = 0;
    for (std::size_t i = 0; i < OuterRank; ++i) offset += coordinates[i] * outer[i];
    return offset;
  }
};

/// The steps of a leaf of shape S in a nest over Out.
template <class S, class Out, int Inner>
auto steps_of(const std::array<Index, S::extents.size()>& strides) {
  static constexpr auto repeats = broadcast_mask<S, Out>();
  return Steps<static_cast<std::size_t>(Out::rank - Inner)>{repeats, strides};
}

}  // namespace burrow::detail
