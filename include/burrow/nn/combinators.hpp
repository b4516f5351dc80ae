// Modules made of modules: Sequential, Residual, Remat, Repeat.
#pragma once

#include <array>
#include <tuple>
#include <vector>

#include <burrow/autodiff/checkpoint.hpp>
#include <burrow/nn/module.hpp>

namespace burrow {

/// x + inner(x).
template <class Inner>
struct Residual {
  Inner inner;
  auto operator()(const auto& x) const { return x + inner(x); }
};

/// inner(x), whose inner values are computed again in the backward pass instead of being kept.
template <class Inner>
struct Remat {
  Inner inner;
  auto operator()(const auto& x) const { return checkpoint(inner, x); }
};

/// The modules one after the other: Sequential<A, B, C>(x) = C(B(A(x))).
template <class First, class... Rest>
struct Sequential {
  First first;
  Sequential<Rest...> rest;
  auto operator()(const auto& x) const { return rest(first(x)); }
};
template <class Last>
struct Sequential<Last> {
  Last last;
  auto operator()(const auto& x) const { return last(x); }
};

/// Blocks of one type, applied one after the other in a loop: compile time does not grow with their number,
/// which is static or, for Count = dyn, that of the blocks given. Each block's result is materialised, so
/// types do not grow.
template <class Block, Index Count>
struct Repeat {
  using module_type = Block;
  std::conditional_t<Count == dyn, std::vector<Block>,
                     std::array<Block, static_cast<std::size_t>(Count == dyn ? 0 : Count)>>
      blocks;
  bool rematerialize = false;  // keep only the blocks' inputs for the backward pass

  auto& modules() { return blocks; }
  const auto& modules() const { return blocks; }

  /// Extra arguments are handed to every block.
  template <class X, class... Extra>
  auto operator()(const X& x, const Extra&... extra) const {
    auto h = materialize(x);
    for (const Block& block : blocks) {
      h = rematerialize ? checkpoint(block, h, extra...) : materialize(block(h, extra...));
    }
    return h;
  }
};

namespace detail {
template <class Block, Index Count>
struct CountParameters<Repeat<Block, Count>> {
  static_assert(Count != dyn, "parameter_count: the number of blocks is known at run time only");
  static constexpr Index value = Count * count_parameters<Block>();
};
}  // namespace detail

}  // namespace burrow
