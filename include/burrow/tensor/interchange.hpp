// The same elements seen by others: Eigen's maps of tensors, and views of memory that burrow does not own
// (pointers, Eigen's matrices, std::mdspan and what looks like it). Nothing is copied; who owns the memory
// must outlive who looks at it.
#pragma once

#include <Eigen/Core>

#include <burrow/tensor/tensor.hpp>

namespace burrow {

namespace detail {

constexpr int eigen_extent(Index extent) { return extent == dyn ? Eigen::Dynamic : static_cast<int>(extent); }

/// Eigen's matrix or vector type for a shape of rank 1 or 2. Eigen wants a column to be column-major.
template <class T, class S>
struct EigenType {
  static constexpr int rows = eigen_extent(S::extents[0]);
  static constexpr int columns = S::rank == 1 ? 1 : eigen_extent(S::extents[S::extents.size() - 1]);
  static constexpr bool column_major = columns == 1 && rows != 1;
  using type = Eigen::Matrix<T, rows, columns, column_major ? Eigen::ColMajor : Eigen::RowMajor>;
};

template <class T, class S>
using EigenMatrix = typename EigenType<std::remove_const_t<T>, S>::type;
template <class T, class S>
using MaybeConstMatrix = std::conditional_t<std::is_const_v<T>, const EigenMatrix<T, S>, EigenMatrix<T, S>>;

template <class S>
Index eigen_columns(const S& shape) {
  if constexpr (S::rank == 1)
    return 1;
  else
    return shape[1];
}

template <class T, class S>
auto eigen_map(T* data, const S& shape) {
  return Eigen::Map<MaybeConstMatrix<T, S>>(data, shape[0], eigen_columns(shape));
}

template <class T, class S>
auto strided_eigen_map(T* data, const S& shape, const std::array<Index, S::extents.size()>& strides,
                       Location where) {
  using Step = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
  for (const Index stride : strides)
    if (stride < 0)
      throw ValueError("as_eigen: Eigen has no negative strides; copy the view to a Tensor first" +
                       at(where));
  const Index outer = strides[0], inner = S::rank == 1 ? strides[0] : strides[strides.size() - 1];
  // Along a vector Eigen steps by the inner stride.
  const Step step = EigenType<T, S>::column_major ? Step{inner, outer} : Step{outer, inner};
  return Eigen::Map<MaybeConstMatrix<T, S>, 0, Step>(data, shape[0], eigen_columns(shape), step);
}

template <class S>
concept EigenRank = S::rank == 1 || S::rank == 2;

}  // namespace detail

/// A tensor of rank 1 (a column vector) or 2 (a row-major matrix) as an Eigen::Map for reading. Static
/// extents stay static. The map is valid while the tensor lives and is not written to.
template <class T, class S>
requires detail::EigenRank<S>
auto as_eigen(const Tensor<T, S, Cpu>& x) { return detail::eigen_map(x.data(), x.shape()); }

/// The same for writing: what is written to the map is written to the tensor. Where other tensors share the
/// elements, x first gets its own. Copies that are made while the map is in use see later writes: use a map
/// at once.
template <class T, class S>
requires detail::EigenRank<S>
auto as_eigen(Tensor<T, S, Cpu>& x) { return detail::eigen_map(x.data(), x.shape()); }

/// A view, also one with gaps, for reading. Throws ValueError for negative strides, which Eigen does not
/// have.
template <class T, class S, class L>
requires detail::EigenRank<S>
auto as_eigen(const View<T, S, Cpu, L>& x, Location where = Location::here()) {
  if constexpr (View<T, S, Cpu, L>::contiguous)
    return detail::eigen_map(x.data(), x.shape());
  else
    return detail::strided_eigen_map(x.data(), x.shape(), x.strides(), where);
}

/// A map of a temporary would outlive its elements.
template <class T, class S>
auto as_eigen(const Tensor<T, S, Cpu>&&) = delete;
template <class T, class S, class L>
auto as_eigen(const View<T, S, Cpu, L>&&) = delete;

/// Row-major elements at a pointer, as a view that does not own them: they must outlive the view, every
/// expression made from it, and every tensor made from it without a copy (`Tensor(view)` copies). They are
/// only read; a tensor that shares them gets its own when it is written.
template <Element T, class S>
requires detail::is_shape<S>
auto view_of(const T* data, const S& shape) {
  return View<T, S, Cpu>{Buffer<Cpu>{detail::borrowed_storage()}, const_cast<T*>(data), shape};
}

/// The same with a stride in elements for each axis, of any sign.
template <Element T, class S>
requires detail::is_shape<S>
auto view_of(const T* data, const S& shape, const std::array<Index, S::extents.size()>& strides) {
  return View<T, S, Cpu, Strided<false>>{Buffer<Cpu>{detail::borrowed_storage()}, const_cast<T*>(data), shape,
                                         strides};
}

namespace detail {

/// What std::mdspan and its like have: extents, strides and a pointer.
template <class M>
concept MdspanLike = requires(const M& m) {
  { M::rank() } -> std::convertible_to<std::size_t>;
  { m.extent(0) } -> std::convertible_to<Index>;
  { m.stride(0) } -> std::convertible_to<Index>;
  { *m.data_handle() } -> std::convertible_to<typename M::value_type>;
};

template <class M>
struct MdspanShape {
  static constexpr auto extents = [] {
    std::array<Index, M::rank()> result{};
    for (std::size_t i = 0; i < result.size(); ++i) {
      result[i] = dyn;
      if constexpr (requires { M::static_extent(i); })
        if (M::static_extent(i) != std::size_t(-1)) result[i] = static_cast<Index>(M::static_extent(i));
    }
    return result;
  }();
};

/// The shape of an Eigen matrix; vectors have rank 1.
template <class M>
struct EigenShape {
  static constexpr Index extent(int e) { return e == Eigen::Dynamic ? dyn : e; }
  static constexpr auto extents = [] {
    if constexpr (M::IsVectorAtCompileTime)
      return std::array<Index, 1>{extent(M::SizeAtCompileTime)};
    else
      return std::array<Index, 2>{extent(M::RowsAtCompileTime), extent(M::ColsAtCompileTime)};
  }();
};

template <class M>
auto eigen_shape(const M& m) {
  if constexpr (M::IsVectorAtCompileTime)
    return ShapeOf<EigenShape<M>>{{m.size()}};
  else
    return ShapeOf<EigenShape<M>>{{m.rows(), m.cols()}};
}

template <class M>
inline constexpr bool in_memory = static_cast<bool>(Eigen::internal::has_direct_access<M>::ret);

}  // namespace detail

/// A multi-dimensional view with rank(), extent(r), stride(r) and data_handle(), such as std::mdspan, as a
/// view that does not own the elements. Extents that it knows statically stay static.
template <detail::MdspanLike M>
auto view_of(const M& m) {
  using S = ShapeOf<detail::MdspanShape<M>>;
  std::array<Index, S::extents.size()> extents{}, strides{};
  for (std::size_t i = 0; i < extents.size(); ++i) {
    extents[i] = static_cast<Index>(m.extent(i));
    strides[i] = static_cast<Index>(m.stride(i));
  }
  return view_of(static_cast<const typename M::value_type*>(m.data_handle()), S{extents}, strides);
}

/// An Eigen matrix, vector, map or block in memory, of any storage order, as a view that does not own the
/// elements. Vectors have rank 1. Static sizes stay static.
template <class M>
requires detail::in_memory<M>
auto from_eigen(const Eigen::DenseBase<M>& matrix) {
  const M& m = matrix.derived();
  const auto shape = detail::eigen_shape(m);
  if constexpr (M::IsVectorAtCompileTime)
    return view_of(m.data(), shape, {m.innerStride()});
  else if constexpr (M::IsRowMajor)
    return view_of(m.data(), shape, {m.outerStride(), m.innerStride()});
  else
    return view_of(m.data(), shape, {m.innerStride(), m.outerStride()});
}

/// The values of a temporary, or of any other expression of Eigen's, as a tensor.
template <class M>
requires(!std::is_lvalue_reference_v<M> && std::derived_from<M, Eigen::DenseBase<M>>) auto from_eigen(M&& m) {
  const auto kept = m.eval();
  return Tensor(from_eigen(kept));
}
template <class M>
requires(!detail::in_memory<M>) auto from_eigen(const Eigen::DenseBase<M>& expression) {
  const auto kept = expression.eval();
  return Tensor(from_eigen(kept));
}

}  // namespace burrow
