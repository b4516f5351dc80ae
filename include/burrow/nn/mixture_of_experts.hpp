// Mixture of experts: a router sends each token to one of many feed-forward blocks.
#pragma once

#include <array>

#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/ops/mixture/routing.hpp>
#include <burrow/ops/softmax/softmax.hpp>

namespace burrow {

/// What a mixture of experts returns: its output, and the loss that balances the load, a scalar.
template <class Output, class Loss>
struct Routed {
  Output output;
  Loss balance_loss;  ///< a scalar, 1 where the load is even
};

/// Top-1 mixture of experts (Switch Transformer, Fedus et al. 2021): with p = softmax(router(x)), token t
/// goes to the expert e of the largest p_te, and y_t = p_te expert_e(x_t). [..., Width] to [..., Width]. An
/// expert takes the first ceil(capacity_factor tokens / Count) tokens that choose it; the others get y_t = 0,
/// so a residual connection around the layer passes them on. `balance_loss` is Count sum_e f_e P_e, f_e the
/// share of tokens that chose e and P_e the mean of p_te: 1 where the load is even. Add it to the training
/// loss with a small weight (0.01 in the paper). The router computes in fp32 (double for double). Expert is
/// any module [n, Width] to [n, Width]; all experts have its type, so compile time does not grow with their
/// number, which is static or, for Count = dyn, that of the experts given.
template <class Expert, Index Width, Index Count, class Policy = Float32<Cpu>>
struct SwitchMixture {
  static constexpr bool mixes_rows = true;  ///< an expert's capacity is shared by all
  Projection<Width, Count, Policy> router;
  std::conditional_t<Count == dyn, std::vector<Expert>,
                     std::array<Expert, static_cast<std::size_t>(Count == dyn ? 0 : Count)>>
      experts;
  double capacity_factor = 1.25;

  auto operator()(const auto& x) const {
    using C = compute_type<typename Policy::compute>;
    const auto in = operand(tape_of(x), x);
    const Index width = in.shape()[-1], count = detail::rows_of(in.shape()).count;
    using S = shape_of<decltype(in)>;
    const auto tokens = reshape(in, Shape<dyn, S::extents.back()>{{count, width}});
    const auto probabilities = detail::to_node(softmax(matmul(cast<C>(tokens), cast<C>(router.weight))));
    const auto routing = detail::route(materialize(stop_gradient(probabilities)));
    const auto apply = [&](std::size_t e, const auto& ids) {
      return detail::to_node(materialize(experts[e](embedding(tokens, ids))));
    };
    using Ids = detail::TokenIds<device_of<decltype(in)>>;
    detail::Pooled<detail::ExpertRows<decltype(apply(0, Ids{}))>> parts;
    for (std::size_t e = 0; e < experts.size(); ++e) {
      const auto taken = routing.taken(e, capacity(count));
      if (taken.shape()[0] > 0) parts.push_back({static_cast<Index>(e), taken, apply(e, taken)});
    }
    const auto y = reshape(detail::combine_experts(probabilities, parts, width), in.shape());
    const auto loss = materialize(sum(mean<0>(probabilities) * detail::chosen_shares<C>(routing)) *
                                  static_cast<C>(experts.size()));
    return Routed<std::remove_const_t<decltype(y)>, std::remove_const_t<decltype(loss)>>{y, loss};
  }

  /// The most tokens that an expert takes of `count`.
  Index capacity(Index count) const {
    return static_cast<Index>(std::ceil(capacity_factor * static_cast<double>(count) /
                                        static_cast<double>(std::max<std::size_t>(experts.size(), 1))));
  }
};

}  // namespace burrow
