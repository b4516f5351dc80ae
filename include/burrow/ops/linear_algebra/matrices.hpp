// Sums and products of matrices by their elements: trace, outer and kron.
#pragma once

#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/diagonal.hpp>

namespace burrow {

/// The sum of the main diagonal of the matrices in the last two axes: [..., m, n] to [...].
template <Expression X>
requires(shape_of<X>::rank >= 2) auto trace(const X& x) { return sum<-1>(diagonal(x)); }

/// The product of each element of a with each of b, lazily: [m] and [n] give [m, n].
template <Expression A, Expression B>
requires(shape_of<A>::rank == 1 && shape_of<B>::rank == 1) auto outer(const A& a, const B& b) {
  return expand_dims<-1>(a) * b;
}

namespace detail {
template <class A, class B>
struct KroneckerShape {
  static constexpr auto extents = [] {
    auto result = A::extents;
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] = A::extents[i] == dyn || B::extents[i] == dyn ? dyn : A::extents[i] * B::extents[i];
    return result;
  }();
};
}  // namespace detail

/// The Kronecker product of matrices, each element of a times all of b: [m, n] and [p, q] give [m p, n q].
template <Expression A, Expression B>
requires(shape_of<A>::rank == 2 && shape_of<B>::rank == 2) auto kron(const A& a, const B& b) {
  const ShapeOf<detail::KroneckerShape<shape_of<A>, shape_of<B>>> shape{
      {a.shape()[0] * b.shape()[0], a.shape()[1] * b.shape()[1]}};
  const auto blocks = view(a, whole_axis, new_axis, whole_axis, new_axis) *
                      view(b, new_axis, whole_axis, new_axis, whole_axis);
  return materialize(reshape(blocks, shape));
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct trace;
struct outer;
struct kron;
}  // namespace operation
template <Expression X>
requires(shape_of<X>::rank < 2) auto trace(const X&)
    -> misuse::shapes_do_not_fit<operation::trace, shape_of<X>>;
template <Expression A, Expression B>
requires(shape_of<A>::rank != 1 || shape_of<B>::rank != 1) auto outer(const A&, const B&)
    -> misuse::shapes_do_not_fit<operation::outer, shape_of<A>, shape_of<B>>;
template <Expression A, Expression B>
requires(shape_of<A>::rank != 2 || shape_of<B>::rank != 2) auto kron(const A&, const B&)
    -> misuse::shapes_do_not_fit<operation::kron, shape_of<A>, shape_of<B>>;

}  // namespace burrow
