// Rotary position embedding: the two halves of a head's features, turned by an angle that grows with the
// position.
#pragma once

#include <algorithm>

#include <burrow/ops/position_table.hpp>
#include <burrow/ops/rows.hpp>

namespace burrow {

namespace detail {

/// Turns the heads of `rows`, whose row r is at position first + r % length, forwards or backwards.
template <class T, class C>
void rotate(Cpu, const Rows& rows, Index length, Index head_width, const C* angles, bool backwards,
            const T* x, DenseTarget<T> y) {
  using P = Packet<C>;
  const Index half = head_width / 2;
  const P sign(backwards ? C(-1) : C(1));
  for_each_row(rows, [&](Index r) {
    const C* const cosines = angles + r % length * head_width;
    for (Index head = 0; head < rows.width; head += head_width) {
      const T* const from = x + r * rows.width + head;
      const DenseTarget<T> left{y.data + r * rows.width + head, y.accumulate};
      const DenseTarget<T> right{left.data + half, y.accumulate};
      for_packets<lanes<C>>(0, half, [&]<bool Full>(Index i, Index count) {
        const P a = load_packet<C, Full>(from + i, count), b = load_packet<C, Full>(from + half + i, count);
        const P cosine = load_packet<C, Full>(cosines + i, count);
        const P sine = load_packet<C, Full>(cosines + half + i, count) * sign;
        left.template put<Full>(i, a * cosine - b * sine, count);
        right.template put<Full>(i, b * cosine + a * sine, count);
      });
    }
  });
}

}  // namespace detail

/// Operands of `rotary`: real numbers [..., T, width].
template <class X>
concept RotaryOperand = Expression<X> && Real<element_of<X>> && shape_of<X>::rank >= 2;

/// Rotary position embedding (Su et al. 2021): within each of the `heads` heads of width d, features m and m
/// + d/2 are a pair that is turned by the angle (first + t) base^(-2m/d) at index t of the last axis but one.
/// This is the half-split order, as Llama's published weights have it; Su et al. pair neighbours 2m and 2m +
/// 1, which is the same up to an order of the features. x is [..., T, heads d] with an even d; the result has
/// its shape and type, computed in fp32 for bf16. The dot product of two turned vectors depends on the
/// distance of their positions only. Gradient: dy turned back. Throws ShapeError where the heads do not fit.
template <RotaryOperand X>
auto rotary(const X& x, Index heads, Index first = 0, double base = 10000.0,
            Location where = Location::here()) {
  using T = element_of<X>;
  using D = device_of<X>;
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  const auto rows = detail::rows_of(in.shape());
  const Index length = std::max<Index>(in.shape()[-2], 1);
  const Index head_width = heads > 0 ? rows.width / heads : 0;
  if (heads <= 0 || rows.width % heads != 0 || head_width % 2 != 0 || first < 0)
    throw ShapeError("rotary: " + in.shape().text() + " from position " + std::to_string(first) +
                     " is not made of " + std::to_string(heads) + " heads of an even width" + at(where));
  const auto angles =
      detail::position_table<detail::AngleOrder::cosines_first, compute_type<T>, Shape<dyn, dyn>, D>(
          first + length, head_width, base);
  const auto turns = [angles, first, head_width] { return angles.data() + first * head_width; };
  Tensor<T, shape_of<X>, D> y{in.shape()};
  rotate(D{}, rows, length, head_width, turns(), false, in.view().data(),
         detail::DenseTarget<T>{y.data(), false});
  return record(
      tape, "rotary", y,
      [in = detail::gradient_place(in), rows, length, head_width, turns](const auto& dy) {
        if (const auto dx = detail::dense_target(in))
          rotate(D{}, rows, length, head_width, turns(), true, dy.data(), dx);
      },
      in);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct rotary;
}
template <Expression X>
requires(!RotaryOperand<X>) auto rotary(const X&, Index, Index = 0, double = 0, Location = {})
    -> std::conditional_t<Real<element_of<X>>, misuse::shapes_do_not_fit<operation::rotary, shape_of<X>>,
                          misuse::element_types_are_refused<operation::rotary, element_of<X>>>;

}  // namespace burrow
