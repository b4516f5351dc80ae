// Mixtures of experts: a router sends each token to one or to a few of many feed-forward blocks.
#pragma once

#include <array>

#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/ops/concatenate/concatenate.hpp>
#include <burrow/ops/gather/gather.hpp>
#include <burrow/ops/mixture/routing.hpp>
#include <burrow/ops/search/search.hpp>
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

  auto operator()(const auto& x, Location where = Location::here()) const {
    using C = compute_type<typename Policy::compute>;
    const auto in = operand(tape_of(x), x);
    const Index width = in.shape()[-1], count = detail::rows_of(in.shape()).count;
    using S = shape_of<decltype(in)>;
    const auto tokens = reshape(in, Shape<dyn, S::extents.back()>{{count, width}});
    const auto probabilities =
        detail::to_node(softmax(matmul(cast<C>(tokens), cast<C>(router.weight), where)));
    const auto routing = detail::route(materialize(stop_gradient(probabilities)), where);
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

namespace detail {

/// The K choices of all tokens in the order of the experts, each expert's in the order of the tokens.
template <class Ids>
struct OrderedChoices {
  Tensor<std::int64_t, Shape<dyn>, device_of<Ids>> order;   // numbers of choices: K token + rank
  Tensor<std::int64_t, Shape<dyn>, device_of<Ids>> tokens;  // whose choice each is
  Tensor<std::int64_t, Shape<dyn>> counts;                  // how many chose each expert

  OrderedChoices(const Ids& ids, Index experts)
      : order{argsort(flatten(ids))},
        tokens{floor_divide(order, ids.shape()[1])},
        counts{bincount(to<Cpu>(ids), Shape<dyn>{{experts}})} {}
};

}  // namespace detail

/// Top-K mixture of experts (Shazeer et al. 2017; without noise and without capacities, as in Mixtral, Jiang
/// et al. 2024): with l = router(x), token t goes to the K experts of the largest l_te, and y_t = sum of
/// w_te expert_e(x_t), w the softmax of those K. [..., Width] to [..., Width]; no token is left out.
/// `balance_loss` is that of `SwitchMixture`, f_e being the share of all choices. The router computes in fp32
/// (double for double). Experts are as in `SwitchMixture`.
template <class Expert, Index Width, Index Count, Index K, class Policy = Float32<Cpu>>
struct TopKMixture {
  static_assert(K > 0 && (Count == dyn || K <= Count), "TopKMixture: a token chooses 1 to Count experts");
  Projection<Width, Count, Policy> router;
  std::conditional_t<Count == dyn, std::vector<Expert>,
                     std::array<Expert, static_cast<std::size_t>(Count == dyn ? 0 : Count)>>
      experts;

  auto operator()(const auto& x, Location where = Location::here()) const {
    using C = compute_type<typename Policy::compute>;
    const auto in = operand(tape_of(x), x);
    const Index width = in.shape()[-1], count = detail::rows_of(in.shape()).count;
    const auto tokens = reshape(in, Shape<dyn, shape_of<decltype(in)>::extents.back()>{{count, width}});
    const auto logits = matmul(cast<C>(tokens), cast<C>(router.weight), where);
    const auto [best, ids] = topk<K>(logits, where);
    const auto number = static_cast<Index>(experts.size());
    const auto chosen = materialize(stop_gradient(ids));
    const detail::OrderedChoices choices{chosen, number};
    const auto weights = gather<0>(flatten(softmax(best)), choices.order);
    const auto rows = expert_rows(tokens, choices) * expand_dims<-1>(weights);
    using Out = element_of<decltype(in)>;
    const auto y = scatter_add<0>(zeros_like(stop_gradient(tokens)), choices.tokens, cast<Out>(rows));
    const auto shares = cast<C>(choices.counts) / static_cast<C>(std::max<Index>(count * K, 1));
    const auto loss = materialize(sum(mean<0>(softmax(logits)) * to<device_of<decltype(in)>>(shares)) *
                                  static_cast<C>(number));
    const auto output = materialize(reshape(y, in.shape()));
    return Routed<std::remove_const_t<decltype(output)>, std::remove_const_t<decltype(loss)>>{output, loss};
  }

 private:
  /// What the experts make of the tokens that chose them, in the order of the choices.
  auto expert_rows(const auto& tokens, const auto& choices) const {
    const auto apply = [&](std::size_t e, Index first, Index length) {
      return materialize(experts[e](gather<0>(tokens, slice<0>(choices.tokens, first, length))));
    };
    using Rows = std::remove_const_t<decltype(apply(0, 0, 0))>;
    detail::Pooled<Rows> parts;
    Index first = 0;
    for (std::size_t e = 0; e < experts.size(); ++e) {
      const Index length = choices.counts(static_cast<Index>(e));
      if (length > 0) parts.push_back(apply(e, first, length));
      first += length;
    }
    return concatenate<0>(parts);
  }
};

}  // namespace burrow
