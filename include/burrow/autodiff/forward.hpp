// Forward mode, by dual numbers as elements: jvp, forward_jacobian; and second derivatives by reverse mode
// over dual numbers: hvp, hessian. The function is called with tensors of DualNumber<T>, so it takes any
// element type (const auto& x), and what it computes from them keeps that type.
#pragma once

#include <burrow/autodiff/transform.hpp>
#include <burrow/core/dual_number.hpp>

namespace burrow {

namespace detail {

/// The values or the tangents of a tensor of dual numbers.
template <class T, class S, class D>
Tensor<T, S, D> dual_part(const Tensor<DualNumber<T>, S, D>& z, T DualNumber<T>::*part) {
  Tensor<T, S, D> result{z.shape()};
  const auto* const from = z.data();
  T* const to = result.data();
  parallel_for(z.size(), elementwise_grain, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) to[i] = from[i].*part;
  });
  return result;
}

template <class E>
concept DualParts = Expression<E> && !Traced<E> &&
                    (std::same_as<element_of<E>, float> || std::same_as<element_of<E>, double>);

}  // namespace detail

/// The tensor of dual numbers with values x and tangents v, which have one shape and are float or double.
template <detail::DualParts X, detail::DualParts V>
requires(std::same_as<element_of<X>, element_of<V>>&& Matching<shape_of<X>, shape_of<V>>) auto dual(
    const X& x, const V& v, Location where = Location::here()) {
  using T = element_of<X>;
  const auto values = materialize(x);
  const Tensor<T, shape_of<X>, device_of<X>> tangents{detail::to_node(v), where};
  if (!(values.shape() == tangents.shape()))
    throw ShapeError("dual: tangents " + tangents.shape().text() + " do not fit " + values.shape().text() +
                     at(where));
  Tensor<DualNumber<T>, shape_of<X>, device_of<X>> z{values.shape()};
  const T *const value = values.data(), *const tangent = tangents.data();
  auto* const to = z.data();
  parallel_for(z.size(), detail::elementwise_grain, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) to[i] = {value[i], tangent[i]};
  });
  return z;
}

/// The values of an untraced expression of dual numbers.
template <Expression Z>
requires(detail::is_dual<element_of<Z>> && !Traced<Z>) auto primal_of(const Z& z) {
  return detail::dual_part(materialize(z), &element_of<Z>::value);
}

/// The tangents of an untraced expression of dual numbers.
template <Expression Z>
requires(detail::is_dual<element_of<Z>> && !Traced<Z>) auto tangent_of(const Z& z) {
  return detail::dual_part(materialize(z), &element_of<Z>::tangent);
}

namespace detail {

template <class Y>
auto primal_and_tangent(const Y& y) {
  static_assert(is_dual<element_of<Y>>, "jvp: the function's result does not depend on its arguments");
  const auto result = materialize(y);
  return std::pair{primal_of(result), tangent_of(result)};
}

/// The tensors of dual numbers from tuples of values and tangents.
template <class... X, class... V>
auto duals(const std::tuple<X...>& x, const std::tuple<V...>& v, Location where) {
  static_assert(sizeof...(X) == sizeof...(V), "as many tangents as arguments");
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::tuple{dual(std::get<I>(x), std::get<I>(v), where)...};
  }
  (std::index_sequence_for<X...>{});
}

/// The tangents of the gradients of f, which has one element, at arguments that are dual numbers.
template <class F, class... Z>
auto gradient_tangents(const F& f, const std::tuple<Z...>& z) {
  Tape tape;
  const auto watched = std::apply([&](const auto&... a) { return watched_all(tape, a...); }, z);
  tape.backward(traced_result(f, watched), Location{});
  return std::apply([&](const auto&... w) { return std::tuple{tangent_of(tape.gradient(w))...}; }, watched);
}

/// Calls row(i, e_i) for every unit vector of x's shape.
template <class X, class Row>
void for_each_unit(const X& x, const Row& row) {
  Tensor<element_of<X>, shape_of<X>, device_of<X>> unit{x.shape()};
  std::fill_n(unit.data(), unit.size(), element_of<X>(0));
  for (Index i = 0; i < unit.size(); ++i) {
    unit.data()[i] = 1;
    row(i, std::as_const(unit));
    unit.data()[i] = 0;
  }
}

}  // namespace detail

/// The value of f(x) and the Jacobian-vector product, its derivative along v, in one forward pass and without
/// a tape. v has x's shape; throws ShapeError where run-time extents differ.
template <class F, detail::DualParts X, detail::DualParts V>
auto jvp(const F& f, const X& x, const V& v, Location where = Location::here()) {
  return detail::primal_and_tangent(f(dual(x, v, where)));
}
/// As above for several arguments: tuples of arguments and of tangents.
template <class F, class... X, class... V>
auto jvp(const F& f, const std::tuple<X...>& x, const std::tuple<V...>& v,
         Location where = Location::here()) {
  return detail::primal_and_tangent(std::apply(f, detail::duals(x, v, where)));
}

/// The same as `jacobian`, by forward mode: a forward pass for each element of x, and one before
/// them.
template <class F, detail::DualParts X>
auto forward_jacobian(const F& f, const X& x) {
  const auto values = materialize(x);
  const auto y = materialize(f(dual(values, values)));
  const auto shape = detail::concatenated_shape(y.shape(), x.shape());
  const Index columns = values.size();
  Tensor<element_of<X>, std::remove_const_t<decltype(shape)>, device_of<X>> result{shape};
  detail::for_each_unit(values, [&](Index i, const auto& unit) {
    const auto column = jvp(f, values, unit).second;
    for (Index j = 0; j < column.size(); ++j) result.data()[j * columns + i] = column.data()[j];
  });
  return result;
}

/// The Hessian-vector product of f, which has one element, at x: the derivative of its gradient along v, of
/// x's shape. Reverse mode over forward mode, at about twice the cost of a gradient.
template <class F, detail::DualParts X, detail::DualParts V>
auto hvp(const F& f, const X& x, const V& v, Location where = Location::here()) {
  return std::get<0>(detail::gradient_tangents(f, std::tuple{dual(x, v, where)}));
}
/// As above for several arguments, with the products as a tuple.
template <class F, class... X, class... V>
auto hvp(const F& f, const std::tuple<X...>& x, const std::tuple<V...>& v,
         Location where = Location::here()) {
  return detail::gradient_tangents(f, detail::duals(x, v, where));
}

/// All second derivatives of f, which has one element, at x: x's shape twice over. One Hessian-vector product
/// for each element of x.
template <class F, detail::DualParts X>
auto hessian(const F& f, const X& x) {
  const auto shape = detail::concatenated_shape(x.shape(), x.shape());
  Tensor<element_of<X>, std::remove_const_t<decltype(shape)>, device_of<X>> result{shape};
  const auto values = materialize(x);
  detail::for_each_unit(values, [&](Index i, const auto& unit) {
    const auto row = hvp(f, values, unit);
    std::copy_n(row.data(), row.size(), result.data() + i * row.size());
  });
  return result;
}

}  // namespace burrow
