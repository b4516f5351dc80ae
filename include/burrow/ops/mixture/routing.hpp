// Top-1 routing of tokens to experts, and the way back. An expert takes the first tokens that choose it, up
// to its capacity.
#pragma once

#include <burrow/ops/argmax/argmax.hpp>
#include <burrow/ops/embedding/embedding.hpp>
#include <burrow/ops/mixture/cpu.hpp>

namespace burrow {

namespace detail {

/// Token numbers that lie beside each other.
template <class D>
using TokenIds = View<std::int32_t, Shape<dyn>, D>;

/// Which tokens chose which expert.
template <class D>
struct Routing {
  Tensor<std::int32_t, Shape<dyn>, D> tokens;  // one expert's after another's, each in their order
  Pooled<Index> chosen;                        // how many chose each expert

  /// The first tokens, `most` of them, that chose an expert.
  TokenIds<D> taken(std::size_t expert, Index most) const {
    Index first = 0;
    for (std::size_t e = 0; e < expert; ++e) first += chosen[e];
    const auto leaf = tokens.leaf();
    return {Buffer<D>{leaf.storage()}, const_cast<std::int32_t*>(leaf.data()) + first,
            Shape<dyn>{{std::min(chosen[expert], most)}}};
  }
};

/// Each token chooses the expert of the largest probability [tokens, experts], the first where several are.
template <class T, class S, class D>
Routing<D> route(const Tensor<T, S, D>& probabilities, Location where) {
  const Index count = probabilities.shape()[0], experts = probabilities.shape()[1];
  Routing<D> result{Tensor<std::int32_t, Shape<dyn>, D>{Shape<dyn>{{count}}},
                    Pooled<Index>(static_cast<std::size_t>(experts))};
  const auto choices = argmax<1>(probabilities, where);
  sort_by_choice(D{}, choices.data(), count, result.tokens.data(), result.chosen);
  return result;
}

/// The share of tokens that chose each expert: [experts].
template <class T, class D>
auto chosen_shares(const Routing<D>& routing) {
  const Index count = routing.tokens.size();
  Tensor<T, Shape<dyn>> shares{Shape<dyn>{{static_cast<Index>(routing.chosen.size())}}};
  std::ranges::transform(routing.chosen, shares.data(), [&](Index chosen) {
    return static_cast<T>(chosen) / static_cast<T>(std::max<Index>(count, 1));
  });
  return to<D>(shares);
}

/// What one expert computed: row i belongs to token tokens[i].
template <class Rows>
struct ExpertRows {
  Index expert;
  TokenIds<device_of<Rows>> tokens;
  Rows rows;

  template <class C>
  ExpertPart<C> part(const C* probabilities, Index experts) const {
    return {rows_of(rows.shape()), tokens.data(), probabilities + expert, experts};
  }
};

/// y[t, :] = probabilities[t, expert] rows[i, :] for the token t of row i of each part; zero for tokens that
/// no expert took. Gradients: drows[i] = p dy[t], dp[t, expert] = dy[t] . rows[i].
template <class P, class Rows>
auto combine_experts(const P& probabilities, const Pooled<ExpertRows<Rows>>& parts, Index width) {
  using T = element_of<Rows>;
  using C = element_of<P>;
  using D = device_of<P>;
  using S = Shape<dyn, shape_of<Rows>::extents[1]>;
  const Index count = probabilities.shape()[0], experts = probabilities.shape()[1];
  const auto tape = tape_of(probabilities);
  Tensor<T, S, D> y{S{{count, width}}};
  if (y.size() > 0) fill_zero(D{}, y.data(), y.size() * Index{sizeof(T)});
  for (const auto& part : parts)
    combine_expert(D{}, part.part(probabilities.view().data(), experts), part.rows.view().data(), y.data());
  const auto backward = [probabilities, parts, experts](const auto& dy) {
    Tensor<C, shape_of<P>, D> dp{probabilities.shape()};
    if (dp.size() > 0) fill_zero(D{}, dp.data(), dp.size() * Index{sizeof(C)});
    for (const auto& part : parts) {
      Tensor<T, shape_of<Rows>, D> drows{part.rows.shape()};
      combine_expert_backward(D{}, part.part(probabilities.view().data(), experts), part.rows.view().data(),
                              dy.data(), drows.data(), dp.data() + part.expert);
      add_gradient(part.rows, drows);
    }
    add_gradient(probabilities, dp);
  };
  if constexpr (Traced<P>) {
    bool wanted = any_wanted(*tape.tape, probabilities);
    for (const auto& part : parts) wanted = wanted || any_wanted(*tape.tape, part.rows);
    return record_wanted(tape, "mixture", y, backward, wanted);
  } else {
    return record(tape, "mixture", y, backward);
  }
}

}  // namespace detail

}  // namespace burrow
