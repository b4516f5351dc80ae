// Exchanges between ranks as differentiable operations. In the backward pass they exchange again, so all
// ranks of the group record the same ones and sweep their tapes.
#pragma once

#include <burrow/autodiff/custom_gradient.hpp>
#include <burrow/distributed/communicator.hpp>
#include <burrow/tensor/slicing.hpp>

namespace burrow {

namespace detail {

template <class S, int Axis>
struct axis_at_run_time {
  static constexpr auto extents = [] {
    auto all = S::extents;
    all[axis_of<S, Axis>] = dyn;
    return all;
  }();
};
/// S with an extent that is known at run time only.
template <class S, int Axis>
using WithDynamicAxis = ShapeOf<axis_at_run_time<S, Axis>>;

/// `shape` with another extent of an axis.
template <int Axis, class S>
auto with_extent(const S& shape, Index extent) {
  auto values = shape.values();
  values[axis_of<S, Axis>] = extent;
  return WithDynamicAxis<S, Axis>{values};
}

/// In how many stretches of memory an axis lies, each of which has all of its extent.
template <int Axis, class S>
Index stretches(const S& shape) {
  Index count = 1;
  for (std::size_t axis = 0; axis < axis_of<S, Axis>; ++axis) count *= shape.values()[axis];
  return count;
}

/// Calls start(i), which begins an exchange, for each of `count` of them, and waits; a few are under way at a
/// time.
template <class Start>
void exchange_each(Index count, const Start& start) {
  std::array<Pending, 4> under_way;
  for (Index i = 0; i < count; ++i) {
    Pending& one = under_way[static_cast<std::size_t>(i) % under_way.size()];
    one.wait();
    one = start(i);
  }
  for (Pending& one : under_way) one.wait();
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

/// What all ranks have along an axis, one after the other.
template <int Axis, class C>
auto gathering(const C& ranks, Location where) {
  return [ranks, where]<class X>(const X& x) {
    using T = element_of<X>;
    const auto& shape = x.shape();
    Tensor<T, WithDynamicAxis<shape_of<X>, Axis>, device_of<X>> y{
        with_extent<Axis>(shape, shape[Axis] * ranks.size())};
    const Index count = stretches<Axis>(shape), own = count == 0 ? 0 : shape.size() / count;
    const Partition parts{own * ranks.size(), ranks.size()};
    exchange_each(count, [&](Index i) {
      return ranks.template start_all_gather<T>(
          std::span{elements(x) + i * own, static_cast<std::size_t>(own)},
          y.values().subspan(static_cast<std::size_t>(i * parts.count()),
                             static_cast<std::size_t>(parts.count())),
          parts, where);
    });
    return y;
  };
}

/// This rank's part, along an axis, of the sum over the ranks.
template <int Axis, class C>
auto scattering(const C& ranks, Location where) {
  return [ranks, where]<class X>(const X& x) {
    using T = element_of<X>;
    const auto& shape = x.shape();
    Tensor<T, WithDynamicAxis<shape_of<X>, Axis>, device_of<X>> y{
        with_extent<Axis>(shape, shape[Axis] / ranks.size())};
    const Index count = stretches<Axis>(shape), all = count == 0 ? 0 : shape.size() / count;
    const Partition parts{all, ranks.size()};
    exchange_each(count, [&](Index i) {
      return ranks.template start_reduce_scatter<T>(
          std::span{elements(x) + i * all, static_cast<std::size_t>(all)},
          y.values().subspan(static_cast<std::size_t>(i * parts.size(0)),
                             static_cast<std::size_t>(parts.size(0))),
          parts, Reduction::sum, where);
    });
    return y;
  };
}

/// Equal blocks of the first axis, one for each rank, and those of all ranks for this one.
template <class C>
auto exchanging(const C& ranks, Location where) {
  return [ranks, where]<class X>(const X& x) {
    using T = element_of<X>;
    Tensor<T, shape_of<X>, device_of<X>> y{x.shape()};
    ranks.template all_to_all<T>(std::span{elements(x), static_cast<std::size_t>(y.size())}, y.values(),
                                 where);
    return y;
  };
}

/// What rank `root` has.
template <class C>
auto spreading(const C& ranks, int root, Location where) {
  return [ranks, root, where](const auto& x) {
    auto y = copy_of(x);
    ranks.broadcast(y.values(), root, where);
    return y;
  };
}

/// The sum over the ranks on rank `root`, which alone receives anything; zero on the others.
template <class C>
auto summing_at(const C& ranks, int root, Location where) {
  return [ranks, root, where]<class X>(const X& x) {
    using T = element_of<X>;
    Tensor<T, shape_of<X>, device_of<X>> y{x.shape()};
    std::vector<Index, PoolAllocator<Index>> bounds(static_cast<std::size_t>(ranks.size()) + 1, y.size());
    std::fill_n(bounds.begin(), root + 1, 0);
    const Partition parts{std::span<const Index>{bounds}};
    if (ranks.rank() != root) fill_zero(device_of<X>{}, y.data(), y.size() * Index{sizeof(T)});
    ranks.template reduce_scatter<T>(std::span{elements(x), static_cast<std::size_t>(y.size())},
                                     parts.part(y.values(), ranks.rank()), parts, Reduction::sum, where);
    return y;
  };
}

/// Throws ShapeError where an extent does not divide among the ranks.
template <class S>
void require_multiple(const char* operation, const S& shape, int axis, int ranks, Location where) {
  const Index extent = shape[axis];
  if (extent % ranks != 0)
    throw ShapeError(std::string(operation) + ": extent " + std::to_string(extent) + " of " + shape.text() +
                     " is not a multiple of " + std::to_string(ranks) + " ranks" + at(where));
}

/// A dense leaf whose elements are needed in the backward pass, where they are kept or computed again.
template <class X>
class AvailableAgain {
  using T = element_of<X>;

 public:
  explicit AvailableAgain(const X& x) : recomputed_{recomputes(x)}, x_{recomputed_ ? gradient_place(x) : x} {}

  auto tensor() const {
    const T* elements = x_.view().data();
    if constexpr (Traced<X>)
      if (recomputed_) elements = x_.tape().template recomputed<T>(x_.slot()) + x_.offset();
    return Tensor<T, shape_of<X>, device_of<X>>::over(x_.view().storage(), const_cast<T*>(elements),
                                                      x_.shape());
  }

 private:
  static bool recomputes([[maybe_unused]] const X& x) {
    if constexpr (Traced<X>)
      return x.tape().recomputes(x.slot());
    else
      return false;
  }

  bool recomputed_;
  X x_;
};

/// The operation that gives forward(x) and whose gradient is backward(dy).
template <class X, class Forward, class Backward>
auto exchange(const char* name, const X& x, const Forward& forward, const Backward& backward) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  return record(
      tape, name, forward(in),
      [place = gradient_place(in), backward](const auto& dy) { add_gradient(place, backward(dy)); }, in);
}
/// `exchange` where forward(x) is not kept for the backward pass, but given again to the products that ask.
template <class X, class Forward, class Backward>
auto exchange_again(const char* name, const X& x, const Forward& forward, const Backward& backward) {
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  const auto pull = [place = gradient_place(in), backward](const auto& dy) {
    add_gradient(place, backward(dy));
  };
  const auto again = [source = AvailableAgain{in}, forward] { return forward(source.tensor().leaf()); };
  return record(tape, name, forward(in), Recomputable{pull, again}, in);
}

}  // namespace detail

/// The sum of all ranks' x, on every rank; x has the same shape on all of them. Gradient: dx is the sum of
/// all ranks' dy, that of the sum of all ranks' losses.
template <Expression X, Communicator C>
requires Real<element_of<X>>
auto all_reduce(const X& x, const C& ranks, Location where = Location::here()) {
  return detail::exchange("all_reduce", x, detail::summing(ranks, where), detail::summing(ranks, where));
}

/// Whether what was gathered is kept for the backward pass, or gathered again by the products that read it
/// there.
enum class Gathered { kept, again };

/// What all ranks have along an axis, one after the other, as [n, ...] to [N n, ...] for the first; x has the
/// same shape on all ranks. A negative axis counts from the end. Gradient: this rank's part of the sum of all
/// ranks' dy.
template <int Axis = 0, Expression X, Communicator C>
requires(Real<element_of<X>>&& detail::HasAxis<shape_of<X>, Axis>) auto all_gather(
    const X& x, const C& ranks, Gathered how, Location where = Location::here()) {
  const auto forward = detail::gathering<Axis>(ranks, where);
  const auto backward = detail::scattering<Axis>(ranks, where);
  return how == Gathered::kept ? detail::exchange("all_gather", x, forward, backward)
                               : detail::exchange_again("all_gather", x, forward, backward);
}
template <int Axis = 0, Expression X, Communicator C>
requires(Real<element_of<X>>&& detail::HasAxis<shape_of<X>, Axis>) auto all_gather(
    const X& x, const C& ranks, Location where = Location::here()) {
  return all_gather<Axis>(x, ranks, Gathered::kept, where);
}

/// This rank's part, along an axis, of the sum of all ranks' x, as [N n, ...] to [n, ...] for the first.
/// Throws ShapeError where the extent is not a multiple of the ranks. Gradient: what all ranks have of dy,
/// one after the other.
template <int Axis = 0, Expression X, Communicator C>
requires(Real<element_of<X>>&& detail::HasAxis<shape_of<X>, Axis>) auto reduce_scatter(
    const X& x, const C& ranks, Location where = Location::here()) {
  detail::require_multiple("reduce_scatter", x.shape(), Axis, ranks.size(), where);
  return detail::exchange("reduce_scatter", x, detail::scattering<Axis>(ranks, where),
                          detail::gathering<Axis>(ranks, where));
}

/// Block r of x's first axis goes to rank r; block r of the result is what rank r sent here, as [N n, ...] to
/// [N n, ...]. Throws ShapeError where the extent is not a multiple of the ranks. Gradient: blocks of dy go
/// back to where they came from.
template <Expression X, Communicator C>
requires(Real<element_of<X>>&& shape_of<X>::rank > 0) auto all_to_all(const X& x, const C& ranks,
                                                                      Location where = Location::here()) {
  detail::require_multiple("all_to_all", x.shape(), 0, ranks.size(), where);
  return detail::exchange("all_to_all", x, detail::exchanging(ranks, where),
                          detail::exchanging(ranks, where));
}

/// The x of rank `root`, on every rank; x has the same shape on all of them. Gradient: on `root` the sum of
/// all ranks' dy, on the others zero.
template <Expression X, Communicator C>
requires Real<element_of<X>>
auto broadcast(const X& x, const C& ranks, int root = 0, Location where = Location::here()) {
  return detail::exchange("broadcast", x, detail::spreading(ranks, root, where),
                          detail::summing_at(ranks, root, where));
}

/// x, which is equal on all ranks and goes into a part of a computation on each (Megatron's f: Shoeybi et al.
/// 2019). Gradient: the sum of all ranks' dy.
template <Expression X, Communicator C>
requires Real<element_of<X>>
auto copy_to_parts(const X& x, const C& ranks, Location where = Location::here()) {
  const auto same = [](const auto& in) { return detail::tensor_over(in); };
  return detail::exchange_again("copy_to_parts", x, same, detail::summing(ranks, where));
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
  using Whole = detail::WithDynamicAxis<shape_of<X>, -1>;
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
      [place = detail::gradient_place(in), own, first, all, rows](const auto& dy) {
        Tensor<T, shape_of<X>, device_of<X>> dx{place.shape()};
        detail::copy_columns<T>(dy.data() + first, all, dx.data(), own, rows, own);
        add_gradient(place, dx);
      },
      in);
}

}  // namespace burrow
