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

/// Where the elements of a dense leaf or tensor begin.
template <class X>
const element_of<X>* elements(const X& x) {
  if constexpr (requires { x.view(); })
    return x.view().data();
  else
    return x.data();
}

/// A copy of a dense leaf's or tensor's elements.
template <class X>
auto copy_of(const X& x) {
  Tensor<element_of<X>, shape_of<X>, device_of<X>> copy{x.shape()};
  std::copy_n(elements(x), x.shape().size(), copy.data());
  return copy;
}

// What exchanges make of a dense leaf or tensor: functions of it, for both passes.

/// The sum over the ranks.
template <class C>
auto summing(const C& ranks, Location where) {
  return [ranks, where](const auto& x) {
    auto y = copy_of(x);
    ranks.all_reduce(y.values(), Reduction::sum, where);
    return y;
  };
}

/// The rows of all ranks one after the other.
template <class C>
auto gathering_rows(const C& ranks, Location where) {
  return [ranks, where]<class X>(const X& x) {
    using T = element_of<X>;
    const auto& shape = x.shape();
    Tensor<T, WithFirstAxis<shape_of<X>>, device_of<X>> y{with_first_extent(shape, shape[0] * ranks.size())};
    ranks.template all_gather<T>(std::span<const T>{elements(x), static_cast<std::size_t>(shape.size())},
                                 y.values(), Partition{y.size(), ranks.size()}, where);
    return y;
  };
}

/// This rank's rows of the sum over the ranks.
template <class C>
auto scattering_rows(const C& ranks, Location where) {
  return [ranks, where]<class X>(const X& x) {
    using T = element_of<X>;
    const auto& shape = x.shape();
    Tensor<T, WithFirstAxis<shape_of<X>>, device_of<X>> y{with_first_extent(shape, shape[0] / ranks.size())};
    ranks.template reduce_scatter<T>(std::span<const T>{elements(x), static_cast<std::size_t>(shape.size())},
                                     y.values(), Partition{shape.size(), ranks.size()}, Reduction::sum,
                                     where);
    return y;
  };
}

/// The operation that gives forward(x) and whose gradient is backward(dy).
template <class X, class Forward, class Backward>
auto exchange(const char* name, const X& x, const Forward& forward, const Backward& backward) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  return record(
      tape, name, forward(in), [in, backward](const auto& dy) { add_gradient(in, backward(dy)); }, in);
}

}  // namespace detail

/// The sum of all ranks' x, on every rank; x has the same shape on all of them. Gradient: dx is the sum of
/// all ranks' dy, that of the sum of all ranks' losses.
template <Expression X, Communicator C>
requires Real<element_of<X>>
auto all_reduce(const X& x, const C& ranks, Location where = Location::here()) {
  return detail::exchange("all_reduce", x, detail::summing(ranks, where), detail::summing(ranks, where));
}

/// The rows (first axis) of all ranks' x, one after the other: [n, ...] to [N n, ...]; x has the same shape
/// on all ranks. Gradient: this rank's rows of the sum of all ranks' dy.
template <Expression X, Communicator C>
requires(Real<element_of<X>>&& shape_of<X>::rank > 0) auto all_gather(const X& x, const C& ranks,
                                                                      Location where = Location::here()) {
  return detail::exchange("all_gather", x, detail::gathering_rows(ranks, where),
                          detail::scattering_rows(ranks, where));
}

/// This rank's rows (first axis) of the sum of all ranks' x: [N n, ...] to [n, ...]. Throws ShapeError where
/// the rows are not a multiple of the ranks. Gradient: the rows of all ranks' dy, one after the other.
template <Expression X, Communicator C>
requires(Real<element_of<X>>&& shape_of<X>::rank > 0) auto reduce_scatter(const X& x, const C& ranks,
                                                                          Location where = Location::here()) {
  if (x.shape()[0] % ranks.size() != 0)
    throw ShapeError("reduce_scatter: the first extent of " + x.shape().text() + " is not a multiple of " +
                     std::to_string(ranks.size()) + " ranks" + at(where));
  return detail::exchange("reduce_scatter", x, detail::scattering_rows(ranks, where),
                          detail::gathering_rows(ranks, where));
}

/// x, which is equal on all ranks and goes into a part of a computation on each (Megatron's f: Shoeybi et al.
/// 2019). Gradient: the sum of all ranks' dy.
template <Expression X, Communicator C>
requires Real<element_of<X>>
auto copy_to_parts(const X& x, const C& ranks, Location where = Location::here()) {
  const auto same = [](const auto& in) { return detail::tensor_over(in); };
  return detail::exchange("copy_to_parts", x, same, detail::summing(ranks, where));
}

/// The sum of what each rank has computed, equal on all of them, from which all compute the same (Megatron's
/// g). Gradient: dx = dy, which is equal on all ranks.
template <Expression X, Communicator C>
requires Real<element_of<X>>
auto sum_of_parts(const X& x, const C& ranks, Location where = Location::here()) {
  const auto same = [](const auto& dy) -> const auto& { return dy; };
  return detail::exchange("sum_of_parts", x, detail::summing(ranks, where), same);
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
