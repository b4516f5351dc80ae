// Layers of which each rank has a part (Megatron-LM: Shoeybi et al. 2019), and the policy by which a model
// takes them: its source does not change, its parameters are divided before it is built.
//
//   using Policy = TensorParallel<Float32<Cpu>, distributed::World>;
//   auto model = build(parted(Model<Policy>::make(size), mesh.tensor()), key);
//
// Elements have the values that they have in the whole model. Here stand the policy and the linear layers;
// distributed/parallel_layers.hpp has those of a transformer.
#pragma once

#include <burrow/distributed/operations.hpp>
#include <burrow/nn/layers.hpp>

namespace burrow {

/// Base as the policy of a model whose products are shared by a group of ranks.
template <class Base, Communicator Ranks>
struct TensorParallel : Base {};

namespace detail {

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
  const ParameterShare share = parameter.share();
  extents[Axis] = own;
  parameter =
      P{typename P::shape_type{extents}, rule.part(own * inner, whole * inner, parts.begin(rank) * inner)};
  parameter.set_share(share);
}

}  // namespace detail

/// A model without elements yet, as the part of it that this rank has. What its policy divides becomes this
/// rank's part; the rest is whole on every rank, equal, and counted by the first. All ranks call it, with
/// equal models. Throws ConfigError where something cannot be divided among so many ranks.
template <Module Model, Communicator Ranks>
Model parted(Model model, const Ranks& ranks) {
  for_each_module(model, [&](const std::string&, auto& module) {
    if constexpr (requires { module.take_part(ranks); }) module.take_part(ranks);
  });
  detail::walk_parameters(model, [&](const detail::ModulePath& path, auto& p) {
    const bool whole = p.initializer().columns == 0;
    p.set_share({p.share().counted && (!whole || ranks.rank() == 0), detail::draws_of(path.text())});
  });
  return model;
}

/// y = x W + b of which this rank has some columns of W and b: x is whole and equal on all ranks, y are this
/// rank's columns, as a RowParallelLinear takes them. [..., In] to [..., this rank's part of Out].
template <Index In, Communicator Ranks, class Policy = Float32<Cpu>>
struct ColumnParallelLinear {
  Parameter<typename Policy::parameter, Shape<In, dyn>, typename Policy::device> weight;
  Parameter<typename Policy::parameter, Shape<dyn>, typename Policy::device> bias;
  Ranks ranks{};

  static ColumnParallelLinear sized(Index in, Index out, const Initializer& rule = init::fan_in()) {
    return {{Shape<In, dyn>{{in, out}}, rule}, {Shape<dyn>{{out}}, init::zeros}};
  }
  /// Keeps this rank's part of the weights of the whole layer.
  void take_part(const Ranks& of) {
    ranks = of;
    const auto parts = detail::parts_in_units("columns", weight.shape()[1], 1, of.size());
    detail::take_part_of<1>(weight, parts, of.rank());
    detail::take_part_of<0>(bias, parts, of.rank());
  }
  auto operator()(const auto& x) const {
    using C = typename Policy::compute;
    return linear(copy_to_parts(x, ranks), cast<C>(weight), cast<C>(bias));
  }
};

/// y = x W + b of which this rank has some rows of W, and the whole b: x are this rank's columns, y is whole
/// and equal on all ranks. [..., this rank's part of In] to [..., Out].
template <Index Out, Communicator Ranks, class Policy = Float32<Cpu>>
struct RowParallelLinear {
  Parameter<typename Policy::parameter, Shape<dyn, Out>, typename Policy::device> weight;
  Parameter<typename Policy::parameter, Shape<Out>, typename Policy::device> bias;
  Index unit = 1;  ///< rows that stay together
  Ranks ranks{};

  static RowParallelLinear sized(Index in, Index out, const Initializer& rule = init::fan_in(),
                                 Index unit = 1) {
    return {{Shape<dyn, Out>{{in, out}}, rule}, {Shape<Out>{{out}}, init::zeros}, unit};
  }
  /// Keeps this rank's part of the weights of the whole layer.
  void take_part(const Ranks& of) {
    ranks = of;
    const auto parts = detail::parts_in_units("rows", weight.shape()[0], unit, of.size());
    detail::take_part_of<0>(weight, parts, of.rank());
  }
  auto operator()(const auto& x) const {
    using C = typename Policy::compute;
    return sum_of_parts(matmul(x, cast<C>(weight)), ranks) + cast<C>(bias);
  }
};

}  // namespace burrow
