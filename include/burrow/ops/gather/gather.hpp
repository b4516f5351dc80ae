// Parts of an axis by index: gather, take_along and scatter_add.
#pragma once

#include <burrow/ops/gather/cpu.hpp>
#include <burrow/tensor/indexing.hpp>

namespace burrow {

namespace operation {
struct gather;
struct take_along;
struct scatter_add;
}  // namespace operation

namespace detail {

/// S with one axis replaced by the axes of Ids.
template <class S, int Axis, class Ids>
struct gathered {
  static constexpr std::size_t axis = axis_number<S, Axis>;
  static constexpr std::size_t middle = Ids::extents.size();
  static constexpr auto select(const std::array<Index, S::extents.size()>& values,
                               const std::array<Index, middle>& ids) {
    std::array<Index, S::extents.size() - 1 + middle> result{};
    for (std::size_t i = 0; i < result.size(); ++i)
      result[i] = i < axis ? values[i] : i < axis + middle ? ids[i - axis] : values[i - middle + 1];
    return result;
  }
  static constexpr auto extents = select(S::extents, Ids::extents);
};

/// The shape of Ids, with the static extents that S has beside the axis.
template <class S, int Axis, class Ids>
struct taken_along {
  static constexpr auto extents = [] {
    auto result = Ids::extents;
    for (std::size_t i = 0; i < result.size(); ++i)
      if (i != axis_number<S, Axis> && result[i] == dyn) result[i] = S::extents[i];
    return result;
  }();
};

template <int Axis, class X, class Ids>
concept GatherOperands =
    Expression<X> && Expression<Ids> && HasAxis<shape_of<X>, Axis> && IndexElement<element_of<Ids>>;

template <class S, int Axis, class Ids>
constexpr bool lines_match() {
  if constexpr (S::rank == Ids::rank) {
    for (std::size_t i = 0; i < S::extents.size(); ++i)
      if (i != axis_number<S, Axis> && S::extents[i] != Ids::extents[i] && S::extents[i] != dyn &&
          Ids::extents[i] != dyn)
        return false;
    return true;
  }
  return false;
}

template <int Axis, class X, class Ids>
concept AlongOperands = GatherOperands<Axis, X, Ids> && lines_match<shape_of<X>, Axis, shape_of<Ids>>();

template <int Axis, class Base, class Ids, class Updates>
concept ScatterOperands = GatherOperands<Axis, Base, Ids> && Expression<Updates> &&
    Matching<shape_of<Updates>, ShapeOf<gathered<shape_of<Base>, Axis, shape_of<Ids>>>>;

/// What is wrong with operands: the axis, the elements of ids, or else the shapes.
template <class Operation, int Axis, class X, class Ids, class... Updates>
using GatherMisuse = std::conditional_t<
    !HasAxis<shape_of<X>, Axis>, misuse::axes_do_not_fit<Operation, shape_of<X>, Axis>,
    std::conditional_t<
        !IndexElement<element_of<Ids>>, misuse::element_types_are_refused<Operation, element_of<Ids>>,
        misuse::shapes_do_not_fit<Operation, shape_of<X>, shape_of<Ids>, shape_of<Updates>...>>>;

template <int Axis, class S, class Ids>
auto gathered_shape(const S& shape, const Ids& ids) {
  return ShapeOf<gathered<S, Axis, Ids>>{gathered<S, Axis, Ids>::select(shape.values(), ids.values())};
}

}  // namespace detail

/// The parts of x at integer `ids` along an axis (`numpy.take`): the axis is replaced by the axes of ids, so
/// x of [a, n, b] and ids of [s, t] give [a, s, t, b] along axis 1. Throws ValueError where an id is not in
/// [0, n). Gradient: dx is zero but for the sums of dy over the places that an id was used, in their order.
template <int Axis, Expression X, Expression Ids>
requires detail::GatherOperands<Axis, X, Ids>
auto gather(const X& x, const Ids& ids, Location where = Location::here()) {
  using D = device_of<X>;
  const auto tape = tape_of(x, ids);
  const auto in = dense_operand(tape, x);
  const auto which = dense_operand(tape, ids).view();
  detail::check_axis_indices<Axis>("gather", which, in.shape(), where);
  const auto shape = detail::gathered_shape<Axis>(in.shape(), which.shape());
  Tensor<element_of<X>, std::remove_const_t<decltype(shape)>, D> y{shape};
  const auto lines = detail::lines_along<Axis>(in.shape());
  const Index count = which.shape().size();
  gather_forward(D{}, lines, which.data(), count, in.view().data(), y.data());
  return record(
      tape, "gather", y,
      [in, which, lines, count](const auto& dy) {
        if (const auto dx = detail::dense_target(in))
          scatter_sum(D{}, lines, which.data(), count, dy.data(), dx);
      },
      in);
}

/// The element of each line along an axis that integer `ids` name (`numpy.take_along_axis`): ids have the
/// shape of x but for the axis, and so has the result: along axis 1 of three, y[i, k, j] = x[i, ids[i, k, j],
/// j]. Throws ValueError where an id is not in [0, n), ShapeError where other run-time extents differ.
/// Gradient: as `gather`.
template <int Axis, Expression X, Expression Ids>
requires detail::AlongOperands<Axis, X, Ids>
auto take_along(const X& x, const Ids& ids, Location where = Location::here()) {
  using D = device_of<X>;
  using S = ShapeOf<detail::taken_along<shape_of<X>, Axis, shape_of<Ids>>>;
  const auto tape = tape_of(x, ids);
  const auto in = dense_operand(tape, x);
  const auto which = dense_operand(tape, ids).view();
  for (std::size_t i = 0; i < S::extents.size(); ++i)
    if (i != detail::axis_number<S, Axis> && in.shape().values()[i] != which.shape().values()[i])
      throw ShapeError("take_along: ids " + which.shape().text() + " do not fit " + in.shape().text() +
                       " beside axis " + std::to_string(detail::axis_number<S, Axis>) + at(where));
  detail::check_axis_indices<Axis>("take_along", which, in.shape(), where);
  Tensor<element_of<X>, S, D> y{S{which.shape().values()}};
  const auto lines = detail::lines_along<Axis>(in.shape());
  const Index count = which.shape().values()[detail::axis_number<S, Axis>];
  take_along_forward(D{}, lines, which.data(), count, in.view().data(), y.data());
  return record(
      tape, "take_along", y,
      [in, which, lines, count](const auto& dy) {
        if (const auto dx = detail::dense_target(in))
          take_along_backward(D{}, lines, which.data(), count, dy.data(), dx);
      },
      in);
}

/// The base with updates[..., k, ...] added at ids[k] along an axis, k running over all elements of ids: the
/// updates have the shape of `gather<Axis>(base, ids)`. An id may occur more than once; its updates are
/// summed in the order of ids, before they are added to the base. Throws ValueError where an id is not in [0,
/// n), ShapeError where the run-time extents of the updates differ.
/// Gradients: dbase = dy, dupdates = gather(dy, ids).
template <int Axis, Expression Base, Expression Ids, Expression Updates>
requires detail::ScatterOperands<Axis, Base, Ids, Updates>
auto scatter_add(const Base& base, const Ids& ids, const Updates& updates,
                 Location where = Location::here()) {
  using D = device_of<Base>;
  using T = element_of<Base>;
  const auto tape = tape_of(base, ids, updates);
  const auto from = dense_operand(tape, base);
  const auto added = dense_operand(tape, cast<T>(updates));
  const auto which = dense_operand(tape, ids).view();
  const auto expected = detail::gathered_shape<Axis>(from.shape(), which.shape());
  if (added.shape().values() != expected.values())
    throw ShapeError("scatter_add: updates " + added.shape().text() + " are not " + expected.text() +
                     ", which ids " + which.shape().text() + " along axis " +
                     std::to_string(detail::axis_number<shape_of<Base>, Axis>) + " of " +
                     from.shape().text() + " need" + at(where));
  detail::check_axis_indices<Axis>("scatter_add", which, from.shape(), where);
  Tensor<T, shape_of<Base>, D> y = materialize(from.view());
  scatter_sum(D{}, detail::lines_along<Axis>(from.shape()), which.data(), which.shape().size(),
              added.view().data(), detail::DenseTarget<T>{y.data(), true});
  return record(
      tape, "scatter_add", y,
      [from, added, which](const auto& dy) {
        add_gradient(from, dy);
        add_gradient(added, materialize(reshape(gather<Axis>(dy, which), added.shape())));
      },
      from, added);
}

// Operands that do not fit; see core/misuse.hpp.
template <int Axis, Expression X, Expression Ids>
requires(!detail::GatherOperands<Axis, X, Ids>) detail::GatherMisuse<operation::gather, Axis, X, Ids> gather(
    const X&, const Ids&, Location = {});
template <int Axis, Expression X, Expression Ids>
requires(!detail::AlongOperands<Axis, X, Ids>)
    detail::GatherMisuse<operation::take_along, Axis, X, Ids> take_along(const X&, const Ids&, Location = {});
template <int Axis, Expression Base, Expression Ids, Expression Updates>
requires(!detail::ScatterOperands<Axis, Base, Ids, Updates>)
    detail::GatherMisuse<operation::scatter_add, Axis, Base, Ids, Updates> scatter_add(const Base&,
                                                                                       const Ids&,
                                                                                       const Updates&,
                                                                                       Location = {});

}  // namespace burrow
