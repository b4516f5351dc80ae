// Operations that put expressions into parts of their result: how a part is written, and how its gradient is
// read back.
#pragma once

#include <burrow/autodiff/trace.hpp>

namespace burrow::detail {

/// Where an operand stands in the result: from element `offset` on, at the strides of the result; its last
/// Gapless axes lie there without gaps.
template <int Gapless, std::size_t Rank>
struct PartPlace {
  Index offset;
  std::array<Index, Rank> strides;

  template <class Node, class Result>
  void write(const Node& node, Result& result) const {
    if constexpr (!Traced<Node>) check_untraced(node);
    evaluate_into<Gapless>(device_of<Node>{}, node, node.shape(), result.data() + offset, strides);
  }

  template <class Node, class Result>
  void add_gradient_of(const Node& node, const Result& dy) const {
    if constexpr (Traced<Node>) {
      using D = device_of<Node>;
      const View<element_of<Result>, shape_of<Node>, D, Strided<(Gapless > 0)>> seen{
          Buffer<D>{dy.leaf().storage()}, const_cast<element_of<Result>*>(dy.data()) + offset, node.shape(),
          strides};
      add_gradient(node, seen);
    }
  }
};

}  // namespace burrow::detail
