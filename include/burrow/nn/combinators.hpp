// Modules made of modules: Sequential, Residual, Remat, Repeat.
#pragma once

#include <array>
#include <tuple>
#include <vector>

#include <burrow/autodiff/checkpoint.hpp>
#include <burrow/core/live.hpp>
#include <burrow/nn/presence.hpp>

namespace burrow {

namespace detail {

/// An argument for number `i` of several modules: a key is folded, so that no two draw the same numbers.
template <RandomKey K>
K argument_for(const K& key, std::size_t i) {
  return key.fold_in(i);
}
template <class T>
const T& argument_for(const T& argument, std::size_t) {
  return argument;
}

/// module(x, extra...), or module(x) where it takes no such arguments.
template <class M, class X, class... Extra>
auto call(const M& module, const X& x, const Extra&... extra) {
  if constexpr (std::invocable<const M&, const X&, const Extra&...>)
    return module(x, extra...);
  else
    return module(x);
}

/// As `call`, computed again in the backward pass.
template <class M, class X, class... Extra>
auto call_again(const M& module, const X& x, const Extra&... extra) {
  return checkpoint([&module](const auto& y, const auto&... more) { return call(module, y, more...); }, x,
                    extra...);
}

}  // namespace detail

// Arguments after x are handed on to the modules that take them: a step's Key, say, to every Dropout. Where
// several modules stand beside each other, number i gets key.fold_in(i).

/// x + inner(x).
template <class Inner>
struct Residual {
  Inner inner;
  auto operator()(const auto& x, const auto&... extra) const { return x + detail::call(inner, x, extra...); }
};

/// inner(x), whose inner values are computed again in the backward pass instead of being kept.
template <class Inner>
struct Remat {
  Inner inner;
  auto operator()(const auto& x, const auto&... extra) const {
    return detail::call_again(inner, x, extra...);
  }
};

/// The modules one after the other: Sequential<A, B, C>(x) = C(B(A(x))).
template <class First, class... Rest>
struct Sequential {
  First first;
  Sequential<Rest...> rest;
  auto operator()(const auto& x, const auto&... extra) const {
    return rest(detail::call(first, x, detail::argument_for(extra, 0)...), detail::argument_for(extra, 1)...);
  }
};
/// The last of a sequence.
template <class Last>
struct Sequential<Last> {
  Last last;
  auto operator()(const auto& x, const auto&... extra) const { return detail::call(last, x, extra...); }
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

  template <class X, class... Extra>
  auto operator()(const X& x, const Extra&... extra) const {
    const auto in = materialize(x);
    if constexpr (std::same_as<decltype(apply(0, in, extra...)), std::remove_const_t<decltype(in)>>) {
      return from(0, in, extra...);
    } else {  // the first block makes run-time extents static
      if (blocks.empty())
        throw ShapeError("Repeat: no blocks, so " + in.shape().text() + " gets none of their extents");
      return from(1, apply(0, in, extra...), extra...);
    }
  }

  /// Decoding: block i is called with caches[i], which it changes, and nothing is rematerialised. Throws
  /// ShapeError where there are not as many caches as blocks.
  template <class X, class Cache>
  requires std::invocable<const Block&, const X&, Cache&>
  auto operator()(const X& x, std::vector<Cache>& caches, Location where = Location::here()) const {
    if (caches.empty() || caches.size() != blocks.size())
      throw ShapeError("Repeat: " + std::to_string(caches.size()) + " caches for " +
                       std::to_string(blocks.size()) + " blocks" + at(where));
    auto h = cached(0, x, caches[0]);
    for (std::size_t i = 1; i < blocks.size(); ++i) h = cached(i, h, caches[i]);
    return h;
  }

  /// What each block's `cache(capacity)` gives: room for `capacity` tokens of one sequence.
  auto caches(Index capacity) const {
    std::vector<decltype(blocks[0].cache(capacity))> result;
    for (const auto& block : blocks) result.push_back(block.cache(capacity));
    return result;
  }

 private:
  template <class X, class Cache>
  auto cached(std::size_t i, const X& x, Cache& cache) const {
    const detail::BlockPassage passage{blocks[i]};
    return passage.leaving(materialize(blocks[i](passage.entering(materialize(x)), cache)));
  }
  template <class X, class... Extra>
  auto apply(std::size_t i, const X& x, const Extra&... extra) const {
    const detail::BlockPassage passage{blocks[i]};
    const X in = passage.entering(x);
    return passage.leaving(rematerialize
                               ? detail::call_again(blocks[i], in, detail::argument_for(extra, i)...)
                               : materialize(detail::call(blocks[i], in, detail::argument_for(extra, i)...)));
  }
  template <class X, class... Extra>
  X from(std::size_t first, X h, const Extra&... extra) const {
    for (std::size_t i = first; i < blocks.size(); ++i) h = apply(i, h, extra...);
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
