// Layers whose weights are divided among the ranks of a tensor group (Megatron-LM: Shoeybi et al. 2019).
// Their values are those of the whole layer: the first values of an element depend on its place in the whole
// weight.
#pragma once

#include <burrow/distributed/operations.hpp>
#include <burrow/nn/layers.hpp>

namespace burrow {

/// y = x W + b of which this rank has some columns of W and b: x is whole and equal on all ranks, y are this
/// rank's columns, as a RowParallelLinear takes them. [..., In] to [..., this rank's part of Out].
template <Index In, Communicator Ranks, class Policy = Float32<Cpu>>
struct ColumnParallelLinear {
  Parameter<typename Policy::parameter, Shape<In, dyn>, typename Policy::device> weight;
  Parameter<typename Policy::parameter, Shape<dyn>, typename Policy::device> bias;
  Ranks ranks;

  /// The layer of a whole one from `in` to `out`. Nothing need divide; ranks have Partition{out, ranks}.
  static ColumnParallelLinear sized(const Ranks& ranks, Index in, Index out,
                                    const Initializer& rule = init::fan_in()) {
    const Partition parts{out, ranks.size()};
    const Index own = parts.size(ranks.rank()), first = parts.begin(ranks.rank());
    return {{Shape<In, dyn>{{in, own}}, rule.resolved(in).part(own, out, first)},
            {Shape<dyn>{{own}}, init::zeros},
            ranks};
  }
  auto operator()(const auto& x) const {
    using C = typename Policy::compute;
    return matmul(copy_to_parts(x, ranks), cast<C>(weight)) + cast<C>(bias);
  }
};

/// y = x W + b of which this rank has some rows of W, and the whole b: x are this rank's columns, y is whole
/// and equal on all ranks. [..., this rank's part of In] to [..., Out].
template <Index Out, Communicator Ranks, class Policy = Float32<Cpu>>
struct RowParallelLinear {
  Parameter<typename Policy::parameter, Shape<dyn, Out>, typename Policy::device> weight;
  Parameter<typename Policy::parameter, Shape<Out>, typename Policy::device> bias;
  Ranks ranks;

  /// The layer of a whole one from `in` to `out`. Nothing need divide; ranks have Partition{in, ranks}.
  static RowParallelLinear sized(const Ranks& ranks, Index in, Index out,
                                 const Initializer& rule = init::fan_in()) {
    const Partition parts{in, ranks.size()};
    const Index own = parts.size(ranks.rank()), first = parts.begin(ranks.rank());
    return {{Shape<dyn, Out>{{own, out}}, rule.resolved(in).part(out, out, first * out)},
            {Shape<Out>{{out}}, init::zeros},
            ranks};
  }
  auto operator()(const auto& x) const {
    using C = typename Policy::compute;
    return sum_of_parts(matmul(x, cast<C>(weight)), ranks) + cast<C>(bias);
  }
};

}  // namespace burrow
