// Top-1 routing of tokens to experts, and the way back. An expert takes the first tokens that choose it, up
// to its capacity.
#pragma once

#include <vector>

#include <burrow/ops/embedding/embedding.hpp>

namespace burrow {

namespace detail {

template <class T>
using Pooled = std::vector<T, PoolAllocator<T>>;

/// Which expert each token chose, and the tokens that each expert takes, in their order.
struct Routing {
  Pooled<Index> choices;
  Pooled<Pooled<std::int32_t>> tokens;
};

/// Each token chooses the expert of the largest probability [tokens, experts], the first where several are.
template <class T, class S>
Routing route(const Tensor<T, S>& probabilities, Index capacity) {
  const Index count = probabilities.shape()[0], experts = probabilities.shape()[1];
  Routing result{Pooled<Index>(static_cast<std::size_t>(count)),
                 Pooled<Pooled<std::int32_t>>(static_cast<std::size_t>(experts))};
  for (Index t = 0; t < count; ++t) {
    const T* const row = probabilities.data() + t * experts;
    const Index choice = std::max_element(row, row + experts) - row;
    result.choices[static_cast<std::size_t>(t)] = choice;
    auto& taken = result.tokens[static_cast<std::size_t>(choice)];
    if (static_cast<Index>(taken.size()) < capacity) taken.push_back(static_cast<std::int32_t>(t));
  }
  return result;
}

/// The share of tokens that chose each expert: [experts].
template <class T>
Tensor<T, Shape<dyn>> chosen_shares(const Routing& routing) {
  const auto experts = static_cast<Index>(routing.tokens.size());
  Tensor<T, Shape<dyn>> shares{Shape<dyn>{{experts}}};
  std::fill_n(shares.data(), experts, T(0));
  for (const Index choice : routing.choices) shares.data()[choice] += T(1);
  for (T& share : shares.values()) share /= static_cast<T>(std::max<std::size_t>(routing.choices.size(), 1));
  return shares;
}

/// What one expert computed: row i belongs to token tokens[i].
template <class Rows>
struct ExpertRows {
  Index expert;
  Pooled<std::int32_t> tokens;
  Rows rows;
};

/// y[t, :] = probabilities[t, expert] rows[i, :] for the token t of row i of each part; zero for tokens that
/// no expert took. Gradients: drows[i] = p dy[t], dp[t, expert] = dy[t] . rows[i].
template <class P, class Rows>
auto combine_experts(const P& probabilities, const Pooled<ExpertRows<Rows>>& parts, Index width) {
  using T = element_of<Rows>;
  using C = element_of<P>;
  using S = Shape<dyn, shape_of<Rows>::extents[1]>;
  const Index count = probabilities.shape()[0], experts = probabilities.shape()[1];
  Tensor<T, S> y{S{{count, width}}};
  std::fill_n(y.data(), y.size(), T(0));
  T* const out = y.data();
  const C* const p = probabilities.view().data();
  const auto for_each_token = [experts, width](const ExpertRows<Rows>& part, const auto& body) {
    const auto rows = static_cast<Index>(part.tokens.size());
    for_each_row({rows, width}, [&](Index i) {
      const Index token = part.tokens[static_cast<std::size_t>(i)];
      body(i * width, token * width, token * experts + part.expert);
    });
  };
  for (const auto& part : parts)
    for_each_token(part, [&](Index row, Index token, Index probability) {
      const T* const from = part.rows.view().data() + row;
      for (Index k = 0; k < width; ++k)
        out[token + k] = static_cast<T>(p[probability] * static_cast<C>(from[k]));
    });
  const auto tape = tape_of(probabilities);
  const auto backward = [probabilities, parts, width, for_each_token](const auto& dy) {
    const C* const share = probabilities.view().data();
    Tensor<C, shape_of<P>> dp{probabilities.shape()};
    std::fill_n(dp.data(), dp.size(), C(0));
    C* const to_p = dp.data();
    for (const auto& part : parts) {
      Tensor<T, shape_of<Rows>> drows{part.rows.shape()};
      T* const to = drows.data();
      for_each_token(part, [&](Index row, Index token, Index probability) {
        const T* const from = part.rows.view().data() + row;
        C dot = 0;
        for (Index k = 0; k < width; ++k) {
          const C upstream = static_cast<C>(dy.data()[token + k]);
          to[row + k] = static_cast<T>(share[probability] * upstream);
          dot += upstream * static_cast<C>(from[k]);
        }
        to_p[probability] = dot;
      });
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
