// Diagonals of matrices as views, vectors as diagonal matrices, and the coordinates of a grid.
#pragma once

#include <tuple>

#include <burrow/tensor/rearranging.hpp>
#include <burrow/tensor/triangle.hpp>

namespace burrow {

namespace detail {

/// The shape of matrices with their last two axes replaced by a diagonal, `offset` above the main one.
template <class S, Index Offset>
struct Diagonal {
  static constexpr Index extent(Index rows, Index columns) {
    if (rows == dyn || columns == dyn) return dyn;
    return std::max<Index>(Offset >= 0 ? std::min(rows, columns - Offset) : std::min(rows + Offset, columns),
                           0);
  }
  static constexpr auto select(const std::array<Index, S::extents.size()>& values) {
    std::array<Index, S::extents.size() - 1> result{};
    std::copy_n(values.begin(), result.size(), result.begin());
    result.back() = extent(values[result.size() - 1], values[result.size()]);
    return result;
  }
  static constexpr auto extents = select(S::extents);
};

}  // namespace detail

/// The diagonals of the matrices in the last two axes as a view: [..., m, n] to [..., k]. 0 is the main one,
/// diagonal<1> the one above it, diagonal<-1> the one below.
template <Index Offset = 0, Expression E>
requires(shape_of<E>::rank >= 2) auto diagonal(const E& x, Location where = Location::here()) {
  using Table = detail::Diagonal<shape_of<E>, Offset>;
  const auto leaf = detail::as_leaf(x);
  const auto steps = leaf.view().strides();
  auto strides = Table::select(steps);
  strides.back() = steps[strides.size() - 1] + steps[strides.size()];
  const Index first = Offset >= 0 ? Offset * steps[strides.size()] : -Offset * steps[strides.size() - 1];
  return detail::seen_as<ShapeOf<Table>, detail::Packing::strided>(
      leaf, first, Table::select(leaf.shape().values()), strides, where);
}

/// The matrices with x on their diagonals and zeros elsewhere, lazily: [..., n] to [..., n, n].
template <Expression E>
requires(shape_of<E>::rank >= 1) auto diagonal_matrix(const E& x) {
  constexpr Index extent = shape_of<E>::extents.back();
  const Shape<extent, extent> shape{{x.shape()[-1], x.shape()[-1]}};
  return where(eye<Shape<extent, extent>, bool>(shape), expand_dims<-2>(x), 0);
}

namespace detail {
template <class... E>
struct GridShape {
  static constexpr std::array<Index, sizeof...(E)> extents{shape_of<E>::extents[0]...};
};

/// A vector along axis Axis of a grid, as a view.
template <std::size_t Axis, class S, class E>
auto along_grid(const E& e, const S& shape, Location where) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    using Column = Shape<(I == Axis ? shape_of<E>::extents[0] : 1)...>;
    return broadcast_to(reshape(e, Column{{(I == Axis ? e.shape()[0] : 1)...}}, where), shape, where);
  }
  (std::make_index_sequence<S::extents.size()>{});
}
}  // namespace detail

/// The coordinates of a grid, as views of its shape: with vectors a [m] and b [n], `auto [x, y] = meshgrid(a,
/// b)` has x(i, j) = a(i) and y(i, j) = b(j) (NumPy's and PyTorch's indexing="ij"). Gradient: sums over the
/// grid.
template <Expression... E>
requires(sizeof...(E) > 0 && ((shape_of<E>::rank == 1) && ...)) auto meshgrid(const E&... e) {
  const ShapeOf<detail::GridShape<E...>> shape{{e.shape()[0]...}};
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::tuple{detail::along_grid<I>(e, shape, Location::here())...};
  }
  (std::index_sequence_for<E...>{});
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct diagonal;
struct diagonal_matrix;
struct meshgrid;
}  // namespace operation
template <Index Offset = 0, Expression E>
requires(shape_of<E>::rank < 2) auto diagonal(const E&, Location = {})
    -> misuse::shapes_do_not_fit<operation::diagonal, shape_of<E>>;
template <Expression E>
requires(shape_of<E>::rank < 1) auto diagonal_matrix(const E&)
    -> misuse::shapes_do_not_fit<operation::diagonal_matrix, shape_of<E>>;
template <Expression... E>
requires(!((shape_of<E>::rank == 1) && ...)) auto meshgrid(const E&...)
    -> misuse::shapes_do_not_fit<operation::meshgrid, shape_of<E>...>;

}  // namespace burrow
