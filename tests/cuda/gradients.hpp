// Gradients of a function of tensors on the device and on the CPU.
#pragma once

#include <tuple>

#include <burrow/autodiff/cuda.cuh>

#include "tests/cuda/close.hpp"

namespace burrow {

/// The gradients of sum(f(x...) * seed) with respect to x, on device D.
template <class D, class F, class... X>
auto gradients(const F& f, const X&... x) {
  Tape tape;
  const std::tuple watched{tape.watch(to<D>(x))...};
  const auto y = materialize(std::apply(f, watched));
  using Y = decltype(y.value());
  const Tensor<element_of<Y>, shape_of<Y>> seed(cast<element_of<Y>>(normal<shape_of<Y>>(Key{77}, y.shape())));
  tape.backward(y, to<D>(seed));
  return std::apply([&](const auto&... w) { return std::tuple{to<Cpu>(tape.gradient(w))...}; }, watched);
}

/// The distance of the gradients.
template <class F, class... X>
double gradient_distance(const F& f, const X&... x) {
  const auto expected = gradients<Cpu>(f, x...);
  const auto found = gradients<Cuda>(f, x...);
  double largest = 0;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((largest = std::max(largest, distance(std::get<I>(found), std::get<I>(expected)))), ...);
  }
  (std::index_sequence_for<X...>{});
  return largest;
}

/// The distance of values and gradients on both devices.
template <class F, class... X>
double all_distance(const F& f, const X&... x) {
  return std::max(distance(f(to<Cuda>(x)...), f(x...)), gradient_distance(f, x...));
}

template <Index... N>
auto random(std::uint64_t seed) {
  return normal<Shape<N...>>(Key{seed});
}

}  // namespace burrow
