// What tensor tests compare with: plain loops over coordinates, and sample tensors.
#pragma once

#include <burrow/tensor/create.hpp>
#include <burrow/tensor/indexing.hpp>
#include <cmath>
#include <vector>

namespace reference {

using namespace burrow;

/// Calls body(coordinates, row-major number) for each element of a shape.
template <class S, class Body>
void for_each_element(const S& shape, const Body& body) {
  auto coordinates = shape.values();
  for (Index number = 0; number < shape.size(); ++number) {
    Index rest = number;
    for (std::size_t axis = coordinates.size(); axis-- > 0;) {
      coordinates[axis] = rest % shape.values()[axis];
      rest /= shape.values()[axis];
    }
    body(coordinates, number);
  }
}

/// The element of a tensor or view that stands at the coordinates of a shape it broadcasts to.
template <class E, std::size_t Rank>
auto broadcast_at(const E& e, const std::array<Index, Rank>& coordinates) {
  const auto view = e.leaf();
  auto own = view.shape().values();
  for (std::size_t i = 0; i < own.size(); ++i) own[i] = own[i] == 1 ? 0 : coordinates[i + Rank - own.size()];
  return view.data()[view.offset(own)];
}
template <class T, class S, class D, class L, std::size_t Rank>
auto broadcast_at(const View<T, S, D, L>& view, const std::array<Index, Rank>& coordinates) {
  struct Leaf {
    const View<T, S, D, L>& held;
    const auto& leaf() const { return held; }
  };
  return broadcast_at(Leaf{view}, coordinates);
}

/// Different small numbers, none of them zero: exact in every element type.
template <class T, class S>
Tensor<T, S> sample(const S& shape, std::uint64_t seed = 0) {
  Tensor<T, S> result{shape};
  for (Index i = 0; i < result.size(); ++i) {
    const std::uint32_t bits = Key{seed}.bits(static_cast<std::uint64_t>(i));
    if constexpr (std::same_as<T, bool>)
      result.data()[i] = bits % 3 == 0;
    else if constexpr (std::is_unsigned_v<T>)
      result.data()[i] = static_cast<T>(1 + bits % 9);
    else
      result.data()[i] = static_cast<T>(static_cast<int>(1 + bits % 9) * (bits & 0x100 ? 1 : -1));
  }
  return result;
}

/// How far a computed T may be from the exact result: a few units of the last place.
template <class T>
constexpr double tolerance = 0;
template <>
inline constexpr double tolerance<float> = 2e-6;
template <>
inline constexpr double tolerance<double> = 4e-15;
template <>
inline constexpr double tolerance<bf16> = 4e-3;
template <>
inline constexpr double tolerance<half> = 5e-4;

template <class T>
bool close(T value, T expected) {
  const auto a = static_cast<double>(value), b = static_cast<double>(expected);
  return (std::isnan(a) && std::isnan(b)) || a == b || std::abs(a - b) <= tolerance<T> * (1 + std::abs(b));
}

template <class E, class S>
constexpr bool has_shape = std::same_as<shape_of<E>, S>;

using Line = Shape<dyn>;

/// Sizes around the number of lanes, none of which needs to divide it.
inline std::vector<Index> line_sizes() {
  std::vector<Index> sizes{100, 1001};
  for (Index size = 0; size <= 40; ++size) sizes.push_back(size);
  return sizes;
}

/// The number of elements where an expression is not close to what `expected(i)` says.
template <class E, class Expected>
Index wrong(const E& expression, const Expected& expected) {
  const Tensor y = expression;
  Index count = 0;
  for (Index i = 0; i < y.size(); ++i)
    if (!close(y.data()[i], static_cast<element_of<E>>(expected(i)))) ++count;
  return count;
}

/// True where both have the same shape and all elements are equal.
template <class T, class S>
bool equal(const Tensor<T, S>& a, const Tensor<T, S>& b) {
  return a.shape() == b.shape() && std::equal(a.values().begin(), a.values().end(), b.values().begin());
}

}  // namespace reference
