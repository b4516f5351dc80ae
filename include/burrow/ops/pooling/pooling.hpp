// Largest element and mean of the windows of an image.
#pragma once

#include <burrow/ops/pooling/cpu.hpp>

namespace burrow {

/// Operands of pooling: real images [B, H, W, C].
template <class X>
concept Poolable = Expression<X> && Real<element_of<X>> && shape_of<X>::rank == 4;

namespace detail {

template <class S, Index Height, Index Width, Window<2> How>
struct pooled_shape {
  static constexpr std::array<Index, 4> extents{S::extents[0], window_extent(How, 0, S::extents[1], Height),
                                                window_extent(How, 1, S::extents[2], Width), S::extents[3]};
};

template <class Op, Index Height, Index Width, Window<2> How, class X>
auto pool(const char* name, const X& x, Location where) {
  using T = element_of<X>;
  using D = device_of<X>;
  using S = ShapeOf<pooled_shape<shape_of<X>, Height, Width, How>>;
  static_assert(Height > 0 && Width > 0, "pooling: a window has at least one element");
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  const auto& extents = in.shape();
  const PoolingExtents e{extents[0], window_axis(How, 0, extents[1], Height),
                         window_axis(How, 1, extents[2], Width), extents[3]};
  if (e.rows.out == 0 || e.columns.out == 0)
    throw ShapeError(std::string(name) + ": a window of " + std::to_string(Height) + " x " +
                     std::to_string(Width) + " is larger than the image of " + extents.text() + at(where));
  Tensor<T, S, D> y{S{{e.batch, e.rows.out, e.columns.out, e.channels}}};
  pool_forward<Op>(D{}, e, in.view().data(), y.data());
  return record(
      tape, name, y,
      [in, e](const auto& dy) {
        if (const auto dx = dense_target(in)) pool_backward<Op>(D{}, e, in.view().data(), dy.data(), dx);
      },
      in);
}

}  // namespace detail

/// The largest element of each window of Height x Width pixels, for each channel: [B, H, W, C] to [B, H', W',
/// C] with the extents of `convolution2d`. Windows stand side by side unless `How` says otherwise; borders do
/// not count. Throws ShapeError where the window is larger than the image. Gradient: dy to the first largest
/// element of each window.
template <Index Height, Index Width, Window<2> How = Window<2>{.stride = {Height, Width}}, Poolable X>
auto max_pool2d(const X& x, Location where = Location::here()) {
  return detail::pool<detail::MaximumOf, Height, Width, How>("max_pool2d", x, where);
}

/// The mean of each window, as `max_pool2d`: over the pixels that lie inside of the image. Gradient: dy in
/// equal shares.
template <Index Height, Index Width, Window<2> How = Window<2>{.stride = {Height, Width}}, Poolable X>
auto average_pool2d(const X& x, Location where = Location::here()) {
  return detail::pool<detail::SumOf, Height, Width, How>("average_pool2d", x, where);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct max_pool2d;
struct average_pool2d;
}  // namespace operation
namespace detail {
template <class Operation, class X>
using PoolMisuse = std::conditional_t<Real<element_of<X>>, misuse::shapes_do_not_fit<Operation, shape_of<X>>,
                                      misuse::element_types_are_refused<Operation, element_of<X>>>;
}  // namespace detail
template <Index Height, Index Width, Window<2> How = Window<2>{.stride = {Height, Width}}, Expression X>
requires(!Poolable<X>) auto max_pool2d(const X&) -> detail::PoolMisuse<operation::max_pool2d, X>;
template <Index Height, Index Width, Window<2> How = Window<2>{.stride = {Height, Width}}, Expression X>
requires(!Poolable<X>) auto average_pool2d(const X&) -> detail::PoolMisuse<operation::average_pool2d, X>;

}  // namespace burrow
