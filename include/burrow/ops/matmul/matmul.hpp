// matmul: the product of matrices in the last two axes. Transposed operands are read where they lie.
#pragma once

#include <burrow/ops/matmul/product.hpp>
#include <burrow/tensor/indexing.hpp>

namespace burrow {

namespace detail {

template <class A, class B>
concept MatmulRanks = A::rank >= 2 && (B::rank == 2 || B::rank == A::rank);

template <class A, class B>
constexpr bool matmul_extents_fit() {
  if constexpr (MatmulRanks<A, B>) {
    const auto meet = [](Index x, Index y) { return x == y || x == dyn || y == dyn; };
    if (!meet(A::extents.back(), B::extents[B::extents.size() - 2])) return false;
    if (B::rank > 2)
      for (std::size_t i = 0; i + 2 < B::extents.size(); ++i)
        if (!meet(A::extents[i], B::extents[i])) return false;
    return true;
  }
  return false;
}

template <class A, class B>
struct matmul_shape {
  static constexpr auto extents = [] {
    auto result = A::extents;
    result.back() = B::extents.back();
    return result;
  }();
};

/// An operand of a product of T without the rounding to it, which the product does as it reads: a parameter
/// kept in fp32 needs no copy, and its gradient is not rounded.
template <class T, class E>
requires(std::same_as<T, element_of<E>> && !Narrow<T>) const E& unrounded(const E& e) { return e; }
template <class T, class E>
auto unrounded(const E& e) {
  const auto node = to_node(cast<T>(e));
  const auto& inner = without_cast<T>(node);
  if constexpr (Narrow<T> && std::decay_t<decltype(inner)>::is_leaf &&
                std::same_as<element_of<std::decay_t<decltype(inner)>>, float>)
    return inner;
  else
    return node;
}

/// An operand of a product as a leaf; where its leading axes are rows of one matrix, as a leaf without gaps.
template <bool Rows, class TapeLike, class E>
auto matrix_leaf(TapeLike tape, const E& e) {
  const auto leaf = operand(tape, e);
  if constexpr (Rows && shape_of<E>::rank > 2 && !decltype(leaf)::contiguous)
    return dense_operand(tape, leaf);
  else
    return leaf;
}

/// A product of operands that are anything with a leaf, multiplied as T.
template <class T, bool Rows, class TapeLike, class A, class B>
auto product_of(TapeLike tape, const A& a, const B& b, const char* name, Location where) {
  return product<T>(product_operand(matrix_leaf<Rows>(tape, unrounded<T>(a))),
                    product_operand(matrix_leaf<false>(tape, unrounded<T>(b))), name, where);
}

}  // namespace detail

/// Operands whose inner extents meet: [..., m, k] and [k, n], or [..., m, k] and [..., k, n].
template <class A, class B>
concept Multipliable = Expression<A> && Expression<B> && std::same_as<device_of<A>, device_of<B>> &&
    detail::matmul_extents_fit<shape_of<A>, shape_of<B>>();

/// Matrix product over the last axis of a and the last but one of b: [..., m, k] x [k, n] or [..., m, k] x
/// [..., k, n]. Sums in fp32 for bf16. Transposed views are not copied. Throws ShapeError where run-time
/// extents do not meet. Gradients: da = dy b^T, db = a^T dy.
template <class A, class B>
requires Multipliable<A, B>
auto matmul(const A& a, const B& b, Location where = Location::here()) {
  using T = promoted<element_of<A>, element_of<B>>;
  using Result = ShapeOf<detail::matmul_shape<shape_of<A>, shape_of<B>>>;
  constexpr bool batched = shape_of<B>::rank > 2;
  const auto tape = tape_of(a, b);
  auto product = detail::product_of<T, !batched>(tape, a, b, "matmul", where);
  std::array<Index, Result::extents.size()> extents;
  std::copy_n(product->left_extents().begin(), extents.size(), extents.begin());
  extents.back() = product->columns();
  Tensor<T, Result, device_of<A>> y{Result{extents}};
  product->evaluate(y.data());
  if constexpr (!decltype(tape)::tracing) {
    return record(tape, "matmul", y, [](const auto&) {});
  } else {
    const bool wanted = product->wanted();
    const double read = product->bytes();
    product.release_operands();
    return detail::record_wanted(tape, "matmul", y, std::move(product), wanted, read);
  }
}

// What matmul refuses.
namespace operation {
struct matmul;
}
namespace detail {
template <class A, class B>
using MatmulMisuse =
    std::conditional_t<std::same_as<device_of<A>, device_of<B>>,
                       misuse::shapes_do_not_fit<operation::matmul, shape_of<A>, shape_of<B>>,
                       misuse::devices_differ<operation::matmul, device_of<A>, device_of<B>>>;
}
template <Expression A, Expression B>
requires(!Multipliable<A, B>) auto matmul(const A&, const B&, Location = {}) -> detail::MatmulMisuse<A, B>;

}  // namespace burrow
