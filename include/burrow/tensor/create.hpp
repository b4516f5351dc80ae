// Tensors from nothing: zeros, ones, full, arange, linspace, and random ones from a key.
#pragma once

#include <cmath>

#include <burrow/core/key.hpp>
#include <burrow/tensor/functions.hpp>
#include <burrow/tensor/tensor.hpp>

namespace burrow {

namespace detail {
template <class T>
void fill(Cpu, T* data, Index count, T value) {
  std::fill_n(data, count, value);
}

/// Calls fill(elements) for the elements of a tensor on the host, and copies them where it is on another
/// device.
template <class T, class S, class D, class Fill>
void fill_on_host(Tensor<T, S, D>& tensor, const Fill& fill) {
  if constexpr (on_host<D>) {
    fill(tensor.data());
  } else {
    Tensor<T, S> elements{tensor.shape()};
    fill(elements.data());
    tensor = to<D>(elements);
  }
}

/// Elements [begin, end) of random numbers: draw(i) for each index i.
template <class T, class Draw>
void draw(Cpu, const Draw& draw_one, T* out, Index count) {
  parallel_for(count, 4096, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) out[i] = static_cast<T>(draw_one(static_cast<std::uint64_t>(i)));
  });
}
struct NormalDraw {
  Key key;
  constexpr float operator()(auto index) const { return key.normal(index); }
};
struct UniformDraw {
  Key key;
  constexpr float operator()(auto index) const { return key.uniform(index); }
};
}  // namespace detail

/// A tensor with every element `value`.
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> full(T value, const S& shape = {}) {
  Tensor<T, S, D> result{shape};
  fill(D{}, result.data(), result.size(), value);
  return result;
}
/// A tensor of zeros.
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> zeros(const S& shape = {}) {
  return full<S, T, D>(T(0), shape);
}
/// A tensor of ones.
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> ones(const S& shape = {}) {
  return full<S, T, D>(T(1), shape);
}

/// A tensor of the shape, the element type and the device of x with every element `value`.
template <Expression E>
auto full_like(const E& x, element_of<E> value) {
  return full<shape_of<E>, element_of<E>, device_of<E>>(value, x.shape());
}
/// Zeros of the shape, the element type and the device of x.
template <Expression E>
auto zeros_like(const E& x) {
  return full_like(x, element_of<E>(0));
}
/// Ones of the shape, the element type and the device of x.
template <Expression E>
auto ones_like(const E& x) {
  return full_like(x, element_of<E>(1));
}

/// 0, 1, 2, ... in row-major order.
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> arange(const S& shape = {}) {
  Tensor<T, S, D> result{shape};
  detail::fill_on_host(result, [count = result.size()](T* out) {
    for (Index i = 0; i < count; ++i) out[i] = static_cast<T>(i);
  });
  return result;
}

namespace detail {
/// The element type of a sequence: T where it is stated, else that of its bounds.
template <class T, class... Bounds>
using sequence_element = std::conditional_t<std::is_void_v<T>, std::common_type_t<Bounds...>, T>;

/// Number of elements of begin, begin + step, ... before end.
template <class C>
Index sequence_length(C begin, C end, C step, Location where) {
  if (step == C(0)) throw ValueError("arange: the step is 0" + at(where));
  const double length =
      std::ceil((static_cast<double>(end) - static_cast<double>(begin)) / static_cast<double>(step));
  if (!(length < 9e15)) throw ValueError("arange: the number of elements is not finite" + at(where));
  return std::max<Index>(static_cast<Index>(length), 0);
}
}  // namespace detail

/// begin, begin + step, ... before end, as in NumPy: element i is begin + i step. The elements are of type T,
/// or of the type of the arguments: arange(0, 5) are integers. Throws ValueError for a step of 0.
template <class T = void, class D = Cpu, class B, class E, class Step = B>
requires(std::is_arithmetic_v<B>&& std::is_arithmetic_v<E>&& std::is_arithmetic_v<Step>) auto arange(
    B begin, E end, Step step = Step(1), Location where = Location::here()) {
  using Result = detail::sequence_element<T, B, E, Step>;
  using C = std::common_type_t<B, E, Step>;
  const Shape<dyn> shape{{detail::sequence_length<C>(begin, end, step, where)}};
  Tensor<Result, Shape<dyn>, D> result{shape};
  detail::fill_on_host(result, [&, count = result.size()](Result* out) {
    for (Index i = 0; i < count; ++i)
      out[i] = static_cast<Result>(static_cast<C>(begin) + static_cast<C>(i) * static_cast<C>(step));
  });
  return result;
}

/// Evenly spaced numbers from `begin` to `end`, both included.
template <Element T = float, class D = Cpu, Index Count>
requires Real<T> Tensor<T, Shape<Count>, D> linspace(double begin, double end, const Shape<Count>& count) {
  Tensor<T, Shape<Count>, D> result{count};
  detail::fill_on_host(result, [&, last = result.size() - 1](T* out) {
    for (Index i = 0; i <= last; ++i) {
      const double t = last > 0 ? static_cast<double>(i) / static_cast<double>(last) : 0.0;
      out[i] = static_cast<T>(static_cast<compute_type<T>>(begin * (1 - t) + end * t));
    }
  });
  return result;
}
/// The same with a static number of elements, linspace<5>(0, 1), or one known at run time.
template <Index Count, Element T = float, class D = Cpu>
requires Real<T>
auto linspace(double begin, double end) { return linspace<T, D>(begin, end, Shape<Count>{}); }
template <Element T = float, class D = Cpu>
requires Real<T>
auto linspace(double begin, double end, Index count) {
  return linspace<T, D>(begin, end, Shape<dyn>{{count}});
}

/// Standard normal numbers; element i depends on the key and i only.
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> normal(Key key, const S& shape = {}) {
  if (detail::observed()) detail::tell_beginning();
  Tensor<T, S, D> result{shape};
  draw(D{}, detail::NormalDraw{key}, result.data(), result.size());
  if (detail::observed()) detail::tell_value("normal", std::as_const(result), 0);
  return result;
}

/// Uniform numbers in [0, 1); element i depends on the key and i only.
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> uniform(Key key, const S& shape = {}) {
  if (detail::observed()) detail::tell_beginning();
  Tensor<T, S, D> result{shape};
  draw(D{}, detail::UniformDraw{key}, result.data(), result.size());
  if (detail::observed()) detail::tell_value("uniform", std::as_const(result), 0);
  return result;
}

}  // namespace burrow
