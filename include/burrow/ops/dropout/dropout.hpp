// Dropout: elements set to zero at random. Which ones depends on a key and the element's index only.
#pragma once

#include <burrow/core/key.hpp>
#include <burrow/ops/rows.hpp>

namespace burrow {

namespace detail {

/// y = x / (1 - rate) where the key's bits at the element are not below rate 2^32, else 0.
template <class T>
void drop(Cpu, Key key, double rate, Index count, const T* x, DenseTarget<T> y) {
  using C = compute_type<T>;
  const C scale = static_cast<C>(1.0 / (1.0 - rate));
  const double limit = rate * 0x1p32;
  parallel_for((count + 3) / 4, elementwise_grain / 16, [&](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) {
      const auto words = key.words(static_cast<std::uint64_t>(block));
      const Index first = 4 * block, last = std::min(first + 4, count);
      for (Index i = first; i < last; ++i) {
        const bool kept = static_cast<double>(words[static_cast<std::size_t>(i - first)]) >= limit;
        y.put(i, kept ? static_cast<C>(x[i]) * scale : C(0));
      }
    }
  });
}

}  // namespace detail

/// Dropout (Srivastava et al. 2014): each element of x is 0 with probability `rate`, and x / (1 - rate)
/// otherwise, so that the mean stays. Element i of the row-major order is dropped or not by the key and i
/// alone: the same key gives the same elements, on any number of threads and when the computation is repeated
/// in the backward pass. No mask is stored. Gradient: dy with the same elements dropped. Throws ValueError
/// where the rate is not in [0, 1).
template <Expression X>
requires Real<element_of<X>>
auto dropout(const X& x, Key key, double rate, Location where = Location::here()) {
  using T = element_of<X>;
  using D = device_of<X>;
  if (!(rate >= 0 && rate < 1))
    throw ValueError("dropout: a rate of " + std::to_string(rate) + " is not in [0, 1)" + at(where));
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  const Index count = in.shape().size();
  Tensor<T, shape_of<X>, D> y{in.shape()};
  drop(D{}, key, rate, count, in.view().data(), detail::DenseTarget<T>{y.data(), false});
  return record(
      tape, "dropout", y,
      [in, key, rate, count](const auto& dy) {
        if (const auto dx = detail::dense_target(in)) drop(D{}, key, rate, count, dy.data(), dx);
      },
      in);
}

// Elements without gradients; deleted so that the error stands in the user's line.
template <Expression X>
requires(!Real<element_of<X>>) auto dropout(const X& x, Key key, double rate) = delete;

}  // namespace burrow
