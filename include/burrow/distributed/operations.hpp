// Exchanges between ranks as differentiable operations. In the backward pass they exchange again, so all
// ranks of the group record the same ones and sweep their tapes.
#pragma once

#include <burrow/autodiff/custom_gradient.hpp>
#include <burrow/distributed/communicator.hpp>

namespace burrow {

namespace detail {

template <class S>
struct first_axis_at_run_time {
  static constexpr auto extents = [] {
    auto all = S::extents;
    all[0] = dyn;
    return all;
  }();
};
template <class S>
using WithFirstAxis = ShapeOf<first_axis_at_run_time<S>>;

/// S with another first extent.
template <class S>
auto with_first_extent(const S& shape, Index extent) {
  auto values = WithFirstAxis<S>{}.values();
  for (int axis = 1; axis < S::rank; ++axis) values[static_cast<std::size_t>(axis)] = shape[axis];
  values[0] = extent;
  return WithFirstAxis<S>{values};
}

/// A copy of a dense leaf's or tensor's elements.
template <class X>
auto copy_of(const X& x) {
  Tensor<element_of<X>, shape_of<X>, device_of<X>> copy{x.shape()};
  const auto* from = [&] {
    if constexpr (requires { x.view(); })
      return x.view().data();
    else
      return x.data();
  }();
  std::copy_n(from, x.shape().size(), copy.data());
  return copy;
}

/// The sum over the ranks of a dense leaf or tensor.
template <class X, class C>
auto summed_over(const X& x, const C& ranks, Location where) {
  auto y = copy_of(x);
  ranks.all_reduce(y.values(), Reduction::sum, where);
  return y;
}

/// The rows of all ranks one after the other.
template <class T, class S, class D, class C>
auto gathered_rows(const T* own, const S& shape, D, const C& ranks, Location where) {
  Tensor<T, WithFirstAxis<S>, D> y{with_first_extent(shape, shape[0] * ranks.size())};
  ranks.template all_gather<T>(std::span<const T>{own, static_cast<std::size_t>(shape.size())}, y.values(),
                               Partition{y.size(), ranks.size()}, where);
  return y;
}

/// This rank's rows of the sum over the ranks.
template <class T, class S, class D, class C>
auto scattered_rows(const T* whole, const S& shape, D, const C& ranks, Location where) {
  Tensor<T, WithFirstAxis<S>, D> y{with_first_extent(shape, shape[0] / ranks.size())};
  ranks.template reduce_scatter<T>(std::span<const T>{whole, static_cast<std::size_t>(shape.size())},
                                   y.values(), Partition{shape.size(), ranks.size()}, Reduction::sum, where);
  return y;
}

}  // namespace detail

/// The sum of all ranks' x, on every rank; x has the same shape on all of them. Gradient: dx is the sum of
/// all ranks' dy, that of the sum of all ranks' losses.
template <Expression X, Communicator C>
requires Real<element_of<X>>
auto all_reduce(const X& x, const C& ranks, Location where = Location::here()) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  return record(
      tape, "all_reduce", detail::summed_over(in, ranks, where),
      [in, ranks, where](const auto& dy) { add_gradient(in, detail::summed_over(dy, ranks, where)); }, in);
}

/// The rows (first axis) of all ranks' x, one after the other: [n, ...] to [N n, ...]; x has the same shape
/// on all ranks. Gradient: this rank's rows of the sum of all ranks' dy.
template <Expression X, Communicator C>
requires(Real<element_of<X>>&& shape_of<X>::rank > 0) auto all_gather(const X& x, const C& ranks,
                                                                      Location where = Location::here()) {
  using D = device_of<X>;
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  return record(
      tape, "all_gather", detail::gathered_rows(in.view().data(), in.shape(), D{}, ranks, where),
      [in, ranks, where](const auto& dy) {
        add_gradient(in, detail::scattered_rows(dy.data(), dy.shape(), D{}, ranks, where));
      },
      in);
}

/// This rank's rows (first axis) of the sum of all ranks' x: [N n, ...] to [n, ...]. Throws ShapeError where
/// the rows are not a multiple of the ranks. Gradient: the rows of all ranks' dy, one after the other.
template <Expression X, Communicator C>
requires(Real<element_of<X>>&& shape_of<X>::rank > 0) auto reduce_scatter(const X& x, const C& ranks,
                                                                          Location where = Location::here()) {
  using D = device_of<X>;
  if (x.shape()[0] % ranks.size() != 0)
    throw ShapeError("reduce_scatter: the first extent of " + x.shape().text() + " is not a multiple of " +
                     std::to_string(ranks.size()) + " ranks" + at(where));
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  return record(
      tape, "reduce_scatter", detail::scattered_rows(in.view().data(), in.shape(), D{}, ranks, where),
      [in, ranks, where](const auto& dy) {
        add_gradient(in, detail::gathered_rows(dy.data(), dy.shape(), D{}, ranks, where));
      },
      in);
}

/// x, which is equal on all ranks and goes into a part of a computation on each (Megatron's f: Shoeybi et al.
/// 2019). Gradient: the sum of all ranks' dy.
template <Expression X, Communicator C>
requires Real<element_of<X>>
auto copy_to_parts(const X& x, const C& ranks, Location where = Location::here()) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  return record(
      tape, "copy_to_parts", detail::tensor_over(in),
      [in, ranks, where](const auto& dy) { add_gradient(in, detail::summed_over(dy, ranks, where)); }, in);
}

/// The sum of what each rank has computed, equal on all of them, from which all compute the same (Megatron's
/// g). Gradient: dx = dy, which is equal on all ranks.
template <Expression X, Communicator C>
requires Real<element_of<X>>
auto sum_of_parts(const X& x, const C& ranks, Location where = Location::here()) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  return record(
      tape, "sum_of_parts", detail::summed_over(in, ranks, where),
      [in](const auto& dy) { add_gradient(in, dy); }, in);
}

namespace detail {

/// The last extent of S known at run time only.
template <class S>
struct last_axis_at_run_time {
  static constexpr auto extents = [] {
    auto all = S::extents;
    all.back() = dyn;
    return all;
  }();
};

/// Copies columns between a whole matrix and a part of it.
template <class T>
void copy_columns(const T* from, Index from_stride, T* to, Index to_stride, Index rows, Index columns) {
  for (Index r = 0; r < rows; ++r) std::copy_n(from + r * from_stride, columns, to + r * to_stride);
}

}  // namespace detail

/// The columns (last axis) of all ranks' x beside each other, equal on all of them, from which all compute
/// the same: [..., this rank's part of `parts`] to [..., all]. Gradient: this rank's columns of dy. Throws
/// ShapeError where x has not as many columns as its part.
template <Expression X, Communicator C>
requires(Real<element_of<X>>&& shape_of<X>::rank >
         0) auto columns_of_parts(const X& x, const C& ranks, const Partition& parts,
                                  Location where = Location::here()) {
  using T = element_of<X>;
  using Whole = ShapeOf<detail::last_axis_at_run_time<shape_of<X>>>;
  const Index own = parts.size(ranks.rank()), first = parts.begin(ranks.rank()), all = parts.count();
  detail::check_extent("columns_of_parts", "a row of x", static_cast<std::size_t>(x.shape()[-1]), own, where);
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  const Index rows = own == 0 ? 0 : in.shape().size() / own;
  auto extents = Whole{in.shape()}.values();
  extents.back() = all;
  Tensor<T, Whole, device_of<X>> y{Whole{extents}};
  std::vector<Index> bounds;
  for (int r = 0; r <= ranks.size(); ++r) bounds.push_back(rows * (r == ranks.size() ? all : parts.begin(r)));
  const Partition blocks{std::span<const Index>{bounds}};
  std::vector<T, PoolAllocator<T>> joined(static_cast<std::size_t>(rows * all));
  ranks.template all_gather<T>(std::span<const T>{in.view().data(), static_cast<std::size_t>(rows * own)},
                               std::span<T>{joined}, blocks, where);
  for (int r = 0; r < ranks.size(); ++r)
    detail::copy_columns<T>(joined.data() + blocks.begin(r), parts.size(r), y.data() + parts.begin(r), all,
                            rows, parts.size(r));
  return record(
      tape, "columns_of_parts", y,
      [in, own, first, all, rows](const auto& dy) {
        Tensor<T, shape_of<X>, device_of<X>> dx{in.shape()};
        detail::copy_columns<T>(dy.data() + first, all, dx.data(), own, rows, own);
        add_gradient(in, dx);
      },
      in);
}

}  // namespace burrow
