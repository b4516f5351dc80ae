// Dropout: elements set to zero at random. Which ones depends on a key and the element's index only.
#pragma once

#include <burrow/core/live.hpp>
#include <burrow/ops/rows.hpp>

namespace burrow {

namespace detail {

/// y = x / (1 - rate) where the key's bits at the element are not below rate 2^32, else 0. The elements are
/// those from number `first` on.
template <class T>
void drop(Cpu, const Given<Key>& given, double rate, Index count, const T* x, DenseTarget<T> y,
          Index first = 0) {
  using C = compute_type<T>;
  const Key key = given.get();
  const C scale = static_cast<C>(1.0 / (1.0 - rate));
  const double limit = rate * 0x1p32;
  const Index blocks = first / 4, last = first + count;
  parallel_for((last + 3) / 4 - blocks, elementwise_grain / 16, [&](Index begin, Index end) {
    for (Index block = blocks + begin; block < blocks + end; ++block) {
      const auto words = key.words(static_cast<std::uint64_t>(block));
      for (Index i = std::max(4 * block, first); i < std::min(4 * block + 4, last); ++i) {
        const bool kept = static_cast<double>(words[static_cast<std::size_t>(i - 4 * block)]) >= limit;
        y.put(i - first, kept ? static_cast<C>(x[i - first]) * scale : C(0));
      }
    }
  });
}

/// The rows [..., rows, columns] that this is of larger arrays whose rows are in `parts` equal parts.
struct RowPart {
  int part = 0, parts = 1;
};

/// As `drop`, for an array whose elements have the numbers that they have in the larger one.
template <class D, class T, class S>
void drop_in_part(D device, const Given<Key>& key, double rate, const S& shape, RowPart of, const T* x,
                  DenseTarget<T> y) {
  Index length = shape.size();
  if constexpr (S::rank >= 2)
    if (of.parts > 1) length = shape[-2] * shape[-1];
  const Index count = length == 0 ? 0 : shape.size() / length;
  for (Index i = 0; i < count; ++i)
    drop(device, key, rate, length, x + i * length, y.row(i, length), (i * of.parts + of.part) * length);
}

template <class X, class K>
auto dropout(const X& x, const K& key, double rate, RowPart part, Location where) {
  using T = element_of<X>;
  using D = device_of<X>;
  if (!(rate >= 0 && rate < 1))
    throw ValueError("dropout: a rate of " + std::to_string(rate) + " is not in [0, 1)" + at(where));
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  Tensor<T, shape_of<X>, D> y{in.shape()};
  const Given<Key> drawn = given_key(D{}, key);
  drop_in_part(D{}, drawn, rate, in.shape(), part, in.view().data(), DenseTarget<T>{y.data(), false});
  return record(
      tape, "dropout", y,
      [place = gradient_place(in), drawn, rate, part](const auto& dy) {
        if (const auto dx = dense_target(place))
          drop_in_part(D{}, drawn, rate, dy.shape(), part, dy.data(), dx);
      },
      in);
}

}  // namespace detail

/// Dropout (Srivastava et al. 2014): each element of x is 0 with probability `rate`, and x / (1 - rate)
/// otherwise, so that the mean stays. Element i of the row-major order is dropped or not by the key and i
/// alone: the same key gives the same elements, on any number of threads and when the computation is repeated
/// in the backward pass. The key may be a `live` variable. No mask is stored. Gradient: dy with the same
/// elements dropped. Throws ValueError where the rate is not in [0, 1).
template <Expression X, RandomKey K>
requires Real<element_of<X>>
auto dropout(const X& x, K key, double rate, Location where = Location::here()) {
  return detail::dropout(x, key, rate, {}, where);
}

// Elements without gradients; see core/misuse.hpp.
namespace operation {
struct dropout;
}
template <Expression X, RandomKey K>
requires(!Real<element_of<X>>) auto dropout(const X&, K, double, Location = {})
    -> misuse::element_types_are_refused<operation::dropout, element_of<X>>;

}  // namespace burrow
