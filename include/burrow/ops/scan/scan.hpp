// Running sums and products along an axis: cumsum and cumprod.
#pragma once

#include <burrow/ops/scan/cpu.hpp>
#include <burrow/tensor/indexing.hpp>
#include <burrow/tensor/reduce.hpp>

namespace burrow {

namespace detail {

/// The scan of an operand as a tensor.
template <class Op, int Axis, class Leaf>
auto scanned(const Leaf& in) {
  using D = device_of<Leaf>;
  using T = sum_type<element_of<Leaf>>;
  Tensor<T, shape_of<Leaf>, D> y{in.shape()};
  scan<Op, false>(D{}, lines_along<Axis>(in.shape()), in.view().data(), DenseTarget<T>{y.data()});
  return y;
}

}  // namespace detail

/// y_k = x_0 + ... + x_k along an axis, of x's shape; element types as `sum`. Sums are carried in double.
/// Gradient: dx_k = dy_k + dy_{k+1} + ...
template <int Axis, Expression X>
requires detail::HasAxis<shape_of<X>, Axis>
auto cumsum(const X& x) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  return record(
      tape, "cumsum", detail::scanned<detail::SumOf, Axis>(in),
      [in](const auto& dy) {
        if (const auto dx = detail::dense_target(in))
          scan<detail::SumOf, true>(device_of<X>{}, detail::lines_along<Axis>(in.shape()), dy.data(), dx);
      },
      in);
}

/// y_k = x_0 * ... * x_k along an axis, of x's shape; element types as `sum`. Products are carried in double.
/// Gradient: dx_k = y_{k-1} s_k with s_k = dy_k + x_{k+1} s_{k+1}, right where elements are zero.
template <int Axis, Expression X>
requires detail::HasAxis<shape_of<X>, Axis>
auto cumprod(const X& x) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  const auto y = detail::scanned<detail::ProductOf, Axis>(in);
  return record(
      tape, "cumprod", y,
      [in, y](const auto& dy) {
        if (const auto dx = detail::dense_target(in))
          cumprod_backward(device_of<X>{}, detail::lines_along<Axis>(in.shape()), in.view().data(), y.data(),
                           dy.data(), dx);
      },
      in);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct cumsum;
struct cumprod;
}  // namespace operation

template <int Axis, Expression X>
requires(!detail::HasAxis<shape_of<X>, Axis>)
    misuse::axes_do_not_fit<operation::cumsum, shape_of<X>, Axis> cumsum(const X&);
template <int Axis, Expression X>
requires(!detail::HasAxis<shape_of<X>, Axis>)
    misuse::axes_do_not_fit<operation::cumprod, shape_of<X>, Axis> cumprod(const X&);

}  // namespace burrow
