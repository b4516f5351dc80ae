// Layers of which each rank has a part (Megatron-LM: Shoeybi et al. 2019), and the policy by which a model
// takes them: its source does not change, its parameters are divided before it is built.
//
//   using Policy = TensorParallel<Float32<Cpu>, distributed::World>;
//   auto model = build(parted(Model<Policy>::make(size), mesh.tensor()), key);
//
// Elements have the values that they have in the whole model. With SequenceRows::divided, each rank also has
// only a part of the rows between products (sequence parallelism: Korthikanti et al. 2022, arXiv 2205.05198).
// Here stand the policy and the linear layers;
// distributed/parallel_layers.hpp has those of a transformer.
#pragma once

#include <burrow/distributed/operations.hpp>
#include <burrow/nn/layers.hpp>

namespace burrow {

/// Base as the policy of a model whose products are shared by a group of ranks.
template <class Base, Communicator Ranks>
struct TensorParallel : Base {};

/// What a rank of a group that shares products has of the rows [..., rows, columns] between them: all, or as
/// many neighbouring rows of each sequence as the other ranks.
enum class SequenceRows { whole, divided };

namespace detail {

/// y with the static extents that Y has.
template <class Y, class X>
Y with_shape_of(const X& y) {
  if constexpr (std::same_as<X, Y>)
    return y;
  else
    return materialize(reshape(y, shape_of<Y>{y.shape().values()}));
}

/// The sum of gradients over the ranks of a group.
template <Communicator Ranks>
class RankGradientSum final : public GradientSum {
 public:
  explicit RankGradientSum(Ranks ranks) : ranks_{std::move(ranks)} {}
  void add(std::span<float> values) const override { ranks_.all_reduce(values); }
  void add(std::span<double> values) const override { ranks_.all_reduce(values); }

 private:
  Ranks ranks_;
};

/// `count` things in groups of `unit` that stay together, divided as evenly as that allows. Throws
/// ConfigError where a rank would have none.
inline Partition parts_in_units(const char* what, Index count, Index unit, int ranks) {
  const Index units = count / unit;
  if (units < ranks)
    throw ConfigError("tensor parallelism: " + std::to_string(units) + " " + what + " are not enough for " +
                      std::to_string(ranks) + " ranks");
  std::vector<Index> bounds;
  for (int r = 0; r <= ranks; ++r) bounds.push_back(units * r / ranks * unit);
  return Partition{std::span<const Index>{bounds}};
}

/// Makes a parameter that has no elements yet a part of itself along an axis.
template <int Axis, class P>
void take_part_of(P& parameter, const Partition& parts, int rank) {
  static_assert(P::shape_type::extents[Axis] == dyn, "the extent of a part is known at run time only");
  auto extents = parameter.shape().values();
  Index inner = 1;
  for (std::size_t axis = Axis + 1; axis < extents.size(); ++axis) inner *= extents[axis];
  const Index whole = extents[Axis], own = parts.size(rank);
  const Initializer rule = parameter.initializer().resolved(extents[0]);
  ParameterShare share = parameter.share();
  share.axis = Axis;
  share.first = parts.begin(rank);
  share.whole = whole;
  extents[Axis] = own;
  parameter =
      P{typename P::shape_type{extents}, rule.part(own * inner, whole * inner, parts.begin(rank) * inner)};
  parameter.set_share(share);
}

}  // namespace detail

/// A group of ranks that share products, as its layers know it; `parted` and `set_rows` fill it in.
template <Communicator Ranks>
struct TensorGroup {
  Ranks ranks{};
  int row_parts = 1;                   ///< in which the rows between products are divided among the ranks
  Gathered gathered = Gathered::kept;  ///< rows that products read

  /// The group is these ranks.
  void take_part(const Ranks& of) { ranks = of; }
  /// A rank has one of `parts` equal parts of the rows between products.
  void take_rows(int, int parts) { row_parts = parts; }

  /// x as it enters a product that is shared: whole on every rank. Gradient: what this rank has of the sum of
  /// all ranks' dy.
  template <Expression X>
  auto enter(const X& x, Location where = Location::here()) const {
    using Y = decltype(all_gather<-2>(x, ranks, gathered, where));
    if (row_parts > 1) return all_gather<-2>(x, ranks, gathered, where);
    return detail::with_shape_of<Y>(copy_to_parts(x, ranks, where));
  }
  /// What this rank has of the sum of what all ranks have computed. Gradient: dy, whole. Throws ShapeError
  /// where rows are to be divided and cannot be.
  template <Expression X>
  auto leave(const X& x, Location where = Location::here()) const {
    using Y = decltype(reduce_scatter<-2>(x, ranks, where));
    if (row_parts == 1) return detail::with_shape_of<Y>(sum_of_parts(x, ranks, where));
    if (x.shape()[-2] % row_parts != 0)
      throw ShapeError("sequence parallelism: the " + std::to_string(x.shape()[-2]) + " rows of " +
                       x.shape().text() + " are not a multiple of " + std::to_string(row_parts) +
                       " ranks; take a length that is one, or SequenceRows::whole" + at(where));
    return reduce_scatter<-2>(x, ranks, where);
  }
  /// Throws Error where this rank has not all rows, which `what` needs.
  void require_whole_rows(const char* what, Location where = Location::here()) const {
    if (row_parts > 1)
      throw Error(std::string("sequence parallelism: ") + what +
                  " needs all rows on every rank; call set_rows(model, ranks, SequenceRows::whole) before" +
                  at(where));
  }
};

/// Says what this rank has of the rows between products, before a pass: whole rows for decoding a model that
/// is trained with divided ones, say; and whether products of divided rows keep what they have gathered.
/// Parameters that are whole on every rank get the gradients of all rows.
/// Throws ConfigError for rows that are divided in a layer that mixes them (`mixes_rows`) and has no part.
template <Module Model, Communicator Ranks>
void set_rows(Model& model, const Ranks& ranks, SequenceRows rows, Gathered gathered = Gathered::kept,
              Location where = Location::here()) {
  const bool divided = rows == SequenceRows::divided && ranks.size() > 1;
  for_each_module(model, [&]<class M>(const std::string& name, M&) {
    if constexpr (requires { requires M::mixes_rows; })
      if (divided)
        throw ConfigError("sequence parallelism: '" + name +
                          "' mixes the rows of a sequence, of which each rank would have some; take a layer "
                          "that is divided by TensorParallel, or SequenceRows::whole" +
                          at(where));
  });
  for_each_module(model, [&](const std::string&, auto& module) {
    if constexpr (requires { module.take_rows(0, 1); })
      module.take_rows(divided ? ranks.rank() : 0, divided ? ranks.size() : 1);
    if constexpr (requires {
                    { module.gathered } -> std::same_as<Gathered&>;
                  })
      module.gathered = gathered;
  });
  const auto sum = std::make_shared<detail::RankGradientSum<Ranks>>(ranks);
  detail::walk_parameters(model, [&](const detail::ModulePath&, auto& p) {
    ParameterShare share = p.share();
    share.sum = divided && share.axis < 0 ? sum : nullptr;
    p.set_share(share);
  });
}

/// A model without elements yet, as the part of it that this rank has. What its policy divides becomes this
/// rank's part; the rest is whole on every rank, equal, and counted by the first. All ranks call it, with
/// equal models. Throws ConfigError where something cannot be divided among so many ranks, and as set_rows.
template <Module Model, Communicator Ranks>
Model parted(Model model, const Ranks& ranks, SequenceRows rows = SequenceRows::whole,
             Gathered gathered = Gathered::kept) {
  for_each_module(model, [&](const std::string&, auto& module) {
    if constexpr (requires { module.take_part(ranks); }) module.take_part(ranks);
  });
  detail::walk_parameters(model, [&](const detail::ModulePath& path, auto& p) {
    ParameterShare share = p.share();
    share.counted = share.counted && (share.axis >= 0 || ranks.rank() == 0);
    share.draws = detail::draws_of(path.text());
    p.set_share(share);
  });
  set_rows(model, ranks, rows, gathered);
  return model;
}

/// y = x W + b of which this rank has some columns of W and b: x is equal on all ranks, or this rank's rows,
/// y are this rank's columns of all rows, as a RowParallelLinear takes them. [..., In] to [..., this rank's
/// part of Out].
template <Index In, Communicator Ranks, class Policy = Float32<Cpu>>
struct ColumnParallelLinear {
  Parameter<typename Policy::parameter, Shape<In, dyn>, typename Policy::device> weight;
  Parameter<typename Policy::parameter, Shape<dyn>, typename Policy::device> bias;
  TensorGroup<Ranks> group{};

  static ColumnParallelLinear sized(Index in, Index out, const Initializer& rule = init::fan_in()) {
    return {{Shape<In, dyn>{{in, out}}, rule}, {Shape<dyn>{{out}}, init::zeros}};
  }
  /// Keeps this rank's part of the weights of the whole layer.
  void take_part(const Ranks& of) {
    const auto parts = detail::parts_in_units("columns", weight.shape()[1], 1, of.size());
    detail::take_part_of<1>(weight, parts, of.rank());
    detail::take_part_of<0>(bias, parts, of.rank());
  }
  auto operator()(const auto& x, Location where = Location::here()) const {
    using C = typename Policy::compute;
    return linear(group.enter(x, where), cast<C>(weight), cast<C>(bias), where);
  }
};

/// y = x W + b of which this rank has some rows of W, and the whole b: x are this rank's columns, y is equal
/// on all ranks, or this rank's rows. [..., this rank's part of In] to [..., Out].
template <Index Out, Communicator Ranks, class Policy = Float32<Cpu>>
struct RowParallelLinear {
  Parameter<typename Policy::parameter, Shape<dyn, Out>, typename Policy::device> weight;
  Parameter<typename Policy::parameter, Shape<Out>, typename Policy::device> bias;
  Index unit = 1;  ///< rows that stay together
  TensorGroup<Ranks> group{};

  static RowParallelLinear sized(Index in, Index out, const Initializer& rule = init::fan_in(),
                                 Index unit = 1) {
    return {{Shape<dyn, Out>{{in, out}}, rule}, {Shape<Out>{{out}}, init::zeros}, unit};
  }
  /// Keeps this rank's part of the weights of the whole layer.
  void take_part(const Ranks& of) {
    const auto parts = detail::parts_in_units("rows", weight.shape()[0], unit, of.size());
    detail::take_part_of<0>(weight, parts, of.rank());
  }
  auto operator()(const auto& x, Location where = Location::here()) const {
    using C = typename Policy::compute;
    return group.leave(matmul(x, cast<C>(weight), where), where) + cast<C>(bias);
  }
};

}  // namespace burrow
