// Tensors from nothing: zeros, ones, full, arange, and random ones from a key.
#pragma once

#include <burrow/core/key.hpp>
#include <burrow/tensor/functions.hpp>
#include <burrow/tensor/tensor.hpp>

namespace burrow {

/// A tensor with every element `value`.
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> full(T value, const S& shape = {}) {
  Tensor<T, S, D> result{shape};
  std::fill_n(result.data(), result.size(), value);
  return result;
}
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> zeros(const S& shape = {}) {
  return full<S, T, D>(T(0), shape);
}
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> ones(const S& shape = {}) {
  return full<S, T, D>(T(1), shape);
}

/// 0, 1, 2, ... in row-major order.
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> arange(const S& shape = {}) {
  Tensor<T, S, D> result{shape};
  T* const out = result.data();
  for (Index i = 0; i < result.size(); ++i) out[i] = static_cast<T>(i);
  return result;
}

/// Standard normal numbers; element i depends on the key and i only.
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> normal(Key key, const S& shape = {}) {
  Tensor<T, S, D> result{shape};
  T* const out = result.data();
  parallel_for(result.size(), 4096, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) out[i] = static_cast<T>(key.normal(static_cast<std::uint64_t>(i)));
  });
  return result;
}

/// Uniform numbers in [0, 1); element i depends on the key and i only.
template <class S, Element T = float, class D = Cpu>
Tensor<T, S, D> uniform(Key key, const S& shape = {}) {
  Tensor<T, S, D> result{shape};
  T* const out = result.data();
  parallel_for(result.size(), 4096, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) out[i] = static_cast<T>(key.uniform(static_cast<std::uint64_t>(i)));
  });
  return result;
}

}  // namespace burrow
