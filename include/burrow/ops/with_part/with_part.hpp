// A tensor with a part of it replaced, as a new value: what part(x, ...) = y is for traced values.
#pragma once

#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/part.hpp>
#include <burrow/tensor/rearranging.hpp>

namespace burrow {

/// x with the part that view(x, indices...) shows replaced by y, which broadcasts to it. x is not changed.
/// Errors as for `view`, and ShapeError where extents known at run time do not fit. Gradients: dx is zero in
/// the part, dy is the part (summed where y repeats).
template <Expression X, Expression Y, AxisIndexing I0, AxisIndexing I1 = detail::NoIndex,
          AxisIndexing I2 = detail::NoIndex, AxisIndexing I3 = detail::NoIndex,
          AxisIndexing I4 = detail::NoIndex, AxisIndexing I5 = detail::NoIndex,
          AxisIndexing I6 = detail::NoIndex, AxisIndexing I7 = detail::NoIndex>
requires detail::IndicesFit<shape_of<X>, I0, I1, I2, I3, I4, I5, I6, I7>
auto with_part(const X& x, const Y& y, const I0& i0, const I1& i1 = {}, const I2& i2 = {}, const I3& i3 = {},
               const I4& i4 = {}, const I5& i5 = {}, const I6& i6 = {}, const I7& i7 = {},
               Location where = Location::here()) {
  using T = element_of<X>;
  using Dense = Tensor<T, shape_of<X>, device_of<X>>;
  const auto tape = tape_of(x, y);
  const auto base = dense_operand(tape, x);
  auto result = Dense::over(base.view());
  const auto seen = view(result, i0, i1, i2, i3, i4, i5, i6, i7, where);
  const auto filling = broadcast_to(operand(tape, cast<T>(y)), seen.shape(), where);
  part(result, i0, i1, i2, i3, i4, i5, i6, i7, where) = filling.view();
  return record(
      tape, "with_part", std::as_const(result),
      [base, filling, where, i0, i1, i2, i3, i4, i5, i6, i7](const auto& dy) {
        add_gradient(filling, view(dy, i0, i1, i2, i3, i4, i5, i6, i7, where));
        Dense rest = dy;
        part(rest, i0, i1, i2, i3, i4, i5, i6, i7, where) = 0;
        add_gradient(base, std::as_const(rest));
      },
      base, filling);
}

}  // namespace burrow
