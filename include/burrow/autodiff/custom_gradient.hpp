// A function whose gradient is given by hand, as two lambdas.
#pragma once

#include <tuple>
#include <utility>

#include <burrow/autodiff/trace.hpp>

namespace burrow {

/// Stands for the gradient of an argument that has none, such as an integer: std::tuple{dx, no_gradient}.
struct NoGradient {};
inline constexpr NoGradient no_gradient{};

namespace detail {

template <class X, class Gradient>
void add_given_gradient(const X& x, const Gradient& gradient) {
  if constexpr (!std::same_as<Gradient, NoGradient>) {
    static_assert(Expression<Gradient>, "custom_gradient: a gradient is a tensor or an expression");
    static_assert(Broadcastable<shape_of<Gradient>, shape_of<X>>,
                  "custom_gradient: a gradient does not have the shape of its argument");
    add_gradient(x, gradient, {});
  }
}

template <class Given, class... X>
void add_given_gradients(const Given& given, const X&... x) {
  if constexpr (Expression<Given> || std::same_as<Given, NoGradient>) {
    static_assert(sizeof...(X) == 1, "custom_gradient: several arguments need a tuple of gradients");
    (add_given_gradient(x, given), ...);
  } else {
    static_assert(std::tuple_size_v<Given> == sizeof...(X),
                  "custom_gradient: the backward function gives one gradient for each argument");
    std::apply([&](const auto&... g) { (add_given_gradient(x, g), ...); }, given);
  }
}

/// The elements of a dense leaf as a tensor, without a copy.
template <class Leaf>
auto tensor_over(const Leaf& leaf) {
  return Tensor<element_of<Leaf>, shape_of<Leaf>, device_of<Leaf>>::over(leaf.view());
}

template <class TapeLike, class F, class B, class... X>
auto record_custom(TapeLike tape, const F& forward, const B& backward, const X&... in) {
  const auto y = materialize(forward(tensor_over(in)...));
  static_assert(!Traced<decltype(y)>,
                "custom_gradient: the forward function captured a traced value; make it an argument");
  return record(
      tape, "custom_gradient", y,
      [backward, y, in...](const auto& dy) {
        add_given_gradients(backward(dy, y, tensor_over(in)...), in...);
      },
      in...);
}

}  // namespace detail

/// The function that computes forward(x...), and whose gradients are what backward(dy, y, x...) gives: an
/// expression for one argument, a std::tuple with an entry for each of several. Both get plain tensors; y is
/// the result, dy its gradient. Values are kept until the sweep.
template <class F, class B>
constexpr auto custom_gradient(F forward, B backward) {
  return [forward = std::move(forward), backward = std::move(backward)](const Expression auto&... x) {
    const auto tape = tape_of(x...);
    return detail::record_custom(tape, forward, backward, dense_operand(tape, x)...);
  };
}

}  // namespace burrow
