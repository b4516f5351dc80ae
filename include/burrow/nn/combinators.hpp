// Modules made of modules: Sequential, Residual, Remat, Repeat.
#pragma once

#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

#include <burrow/autodiff/checkpoint.hpp>
#include <burrow/core/live.hpp>
#include <burrow/nn/presence.hpp>
#include <burrow/nn/rematerialization.hpp>

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

/// module(x, extra...) with all of the arguments after x, or else with the first of them that it takes alone,
/// or with none.
template <class M, class X>
auto call(const M& module, const X& x) {
  return module(x);
}
template <class M, class X, class First, class... Rest>
auto call(const M& module, const X& x, const First& first, const Rest&... rest) {
  if constexpr (std::invocable<const M&, const X&, const First&, const Rest&...>)
    return module(x, first, rest...);
  else if constexpr (std::invocable<const M&, const X&, const First&>)
    return module(x, first);
  else
    return call(module, x, rest...);
}

/// x through block number i of several; `again` says that it is computed again for the backward pass.
template <class Block, class X, class... Extra>
auto pass_block(const Block& block, [[maybe_unused]] std::size_t i, bool again, const X& x,
                const Extra&... extra) {
  const BlockPassage passage{block, again};
  const X in = passage.entering(x);
  return passage.leaving(materialize(call(block, in, argument_for(extra, i)...)));
}

/// Lets the tape of x, if there is one, keep what the choice says, until the end of the scope.
class ChosenValues {
 public:
  template <class X>
  ChosenValues(const X& x, Rematerialization choice) {
    if constexpr (Traced<X>)
      if (!choice.recomputes_values()) tape_ = &x.tape();
    if (tape_ != nullptr) before_ = tape_->recompute_values(false);
  }
  ChosenValues(const ChosenValues&) = delete;
  ChosenValues& operator=(const ChosenValues&) = delete;
  ~ChosenValues() {
    if (tape_ != nullptr) tape_->recompute_values(before_);
  }

 private:
  Tape* tape_ = nullptr;
  bool before_ = true;
};

/// h through the blocks first, ..., last - 1 that a module has, which keep its type, as its choice of
/// rematerialisation says.
template <NumberedModules Repeated, class H, class... Extra>
H through_blocks(const Repeated& repeated, std::size_t first, std::size_t last, H h, const Extra&... extra) {
  const auto pass_one = [&repeated]<class X>(std::size_t i, bool again, const X& x, const auto&... more) {
    return pass_block(repeated.modules()[i], module_number(repeated, i), again, x, more...);
  };
  const auto group = static_cast<std::size_t>(repeated.rematerialize.blocks());
  if (group == 0) {
    for (std::size_t i = first; i < last; ++i) h = pass_one(i, false, h, extra...);
    return h;
  }
  for (std::size_t next = first; first < last; first = next) {
    next = std::min(first + group, last);
    const auto pass = [pass_one, first, next]<class X>(const X& x, const auto&... more) {
      X y = x;
      for (std::size_t i = first; i < next; ++i) y = pass_one(i, Traced<X>, y, more...);
      return y;
    };
    h = checkpoint(pass, h, extra...);
  }
  return h;
}

}  // namespace detail

// Arguments after x are handed on to the modules that take them: a step's Key, say, to every Dropout, and its
// BatchStatistics to every BatchNorm. Where several modules stand beside each other, number i gets
// key.fold_in(i).

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
    const auto called = [this](const auto& y, const auto&... more) {
      return detail::call(inner, y, more...);
    };
    return checkpoint(called, x, extra...);
  }
};

/// The modules one after the other, `first` and the `rest`: Sequential<A, B, C>(x) = C(B(A(x))).
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
  Rematerialization rematerialize{};

  auto& modules() { return blocks; }
  const auto& modules() const { return blocks; }

  template <class X, class... Extra>
  auto operator()(const X& x, const Extra&... extra) const {
    const auto in = materialize(x);
    const detail::ChosenValues chosen{in, rematerialize};
    using Out = decltype(detail::pass_block(blocks[0], 0, false, in, extra...));
    if constexpr (std::same_as<Out, std::remove_const_t<decltype(in)>>) {
      return detail::through_blocks(*this, 0, blocks.size(), in, extra...);
    } else {  // the first block makes run-time extents static
      if (blocks.empty())
        throw ShapeError("Repeat: no blocks, so " + in.shape().text() + " gets none of their extents");
      return detail::through_blocks(*this, 1, blocks.size(), first_block(in, extra...), extra...);
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
  auto first_block(const X& x, const Extra&... extra) const {
    const auto pass = [this]<class Y>(const Y& y, const auto&... more) {
      return detail::pass_block(blocks[0], 0, Traced<Y> && rematerialize.blocks() > 0, y, more...);
    };
    return rematerialize.blocks() > 0 ? checkpoint(pass, x, extra...) : pass(x, extra...);
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
