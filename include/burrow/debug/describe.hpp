// describe(expression): the fused graph as text, with its leaves and the loop that it becomes.
#pragma once

#include <cstdio>
#include <string>

#include <burrow/tensor/tensor.hpp>

namespace burrow {

namespace detail {

/// The root of a described expression: what its leaves are broadcast to.
struct Described {
  const Index* extents;
  std::size_t rank;
  std::string text;

  void line(int depth, std::string_view name, std::string_view dtype, const std::string& shape) {
    text.append(static_cast<std::size_t>(2 * depth), ' ').append(name);
    if (!dtype.empty()) text.append(": ").append(dtype);
    text += shape.empty() ? "" : " " + shape;
    text += '\n';
  }
};

/// ", strides (3, 1)" or ", repeated along axis 0" for what is not read in order.
inline std::string leaf_layout(const Described& root, const Index* extents, const Index* strides,
                               std::size_t rank, bool contiguous) {
  std::string repeated, steps;
  for (std::size_t i = 0; i < root.rank; ++i) {
    const Index own = i + rank < root.rank ? 1 : extents[i + rank - root.rank];
    if (own == 1 && root.extents[i] != 1) repeated += (repeated.empty() ? "" : ", ") + std::to_string(i);
  }
  for (std::size_t i = 0; i < rank; ++i) steps += (i > 0 ? ", " : "") + std::to_string(strides[i]);
  return (contiguous ? "" : ", strides (" + steps + ")") +
         (repeated.empty() ? "" : ", repeated along axis " + repeated);
}

template <class Node>
constexpr const char* leaf_name() {
  if constexpr (Node::traced)
    return "traced";
  else if constexpr (requires { requires Node::parametric; })
    return "parameter";
  else
    return "tensor";
}

template <class Node>
void describe_node(Described& root, const Node& node, int depth) {
  if constexpr (is_scalar_node<Node>) {
    char number[32];
    double value = 0;
    if constexpr (is_dual<element_of<Node>>)
      value = static_cast<double>(node.value.value);
    else
      value = static_cast<double>(node.value);
    std::snprintf(number, sizeof(number), "%.6g", value);
    root.line(depth, number, "", "");
  } else if constexpr (Node::is_leaf) {
    const auto strides = node.view().strides();
    root.line(depth, leaf_name<Node>(), dtype_name<element_of<Node>>(),
              node.shape().text() + leaf_layout(root, node.shape().values().data(), strides.data(),
                                                strides.size(), Node::contiguous));
  } else {
    root.line(depth, Node::function_type::name, dtype_name<element_of<Node>>(), node.shape().text());
    detail::apply([&](const auto&... a) { (describe_node(root, a, depth + 1), ...); }, node.arguments());
  }
}

/// "loop: 4 rows of 3 elements, 8 float at a time".
inline std::string loop_text(Index rows, Index inner, int lanes_used, std::string_view dtype) {
  return "loop: " + std::to_string(rows) + (rows == 1 ? " row of " : " rows of ") + std::to_string(inner) +
         " elements, " +
         (lanes_used == 1 ? std::string("one at a time")
                          : std::to_string(lanes_used) + ' ' + std::string(dtype) + " at a time") +
         '\n';
}

}  // namespace detail

/// The graph of an expression as text, a function to a line with its arguments indented below, and the loop
/// that evaluates it. Leaves are `tensor`, `parameter` or `traced`, with strides where they have gaps, and
/// the axes along which they repeat. Nothing is computed.
template <Expression E>
std::string describe(const E& e) {
  using Node = detail::node_of<E>;
  const auto node = detail::to_node(e);
  const auto& shape = e.shape();
  detail::Described root{shape.values().data(), shape.values().size(), {}};
  detail::describe_node(root, node, 0);
  using Loop = detail::LoopOf<Node>;
  constexpr int inner = detail::inner_axes<shape_of<E>, Node>();
  const auto nest = detail::loop_nest<inner>(shape);
  return root.text +
         detail::loop_text(nest.rows, nest.inner, Loop::lanes_used, dtype_name<typename Loop::base>());
}

}  // namespace burrow
