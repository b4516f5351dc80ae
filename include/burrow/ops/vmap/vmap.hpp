// vmap: a function of one example, mapped over the leading axis of its arguments.
#pragma once

#include <tuple>
#include <vector>

#include <burrow/autodiff/checkpoint.hpp>
#include <burrow/ops/concatenate/concatenate.hpp>
#include <burrow/tensor/indexing.hpp>

namespace burrow {

namespace detail {

/// The extent of the leading axis that shapes share: a static one where there is one.
template <class... S>
inline constexpr Index leading_extent = [] {
  Index extent = dyn;
  ((extent = known_extent(extent, S::extents[0])), ...);
  return extent;
}();

/// True where arguments have a leading axis each, of one extent as far as the compiler knows.
template <class... X>
constexpr bool have_examples() {
  if constexpr (sizeof...(X) > 0 && ((shape_of<X>::rank >= 1) && ...)) {
    constexpr Index shared = leading_extent<shape_of<X>...>;
    return ((shape_of<X>::extents[0] == dyn || shape_of<X>::extents[0] == shared) && ...);
  } else {
    return false;
  }
}

/// One result for each example, along a leading axis.
template <Index Count, class Results>
auto stacked_examples(const Results& results, Location where) {
  const auto stacked = stack<0>(results, where);
  using S = ShapeOf<resized<shape_of<decltype(stacked)>, 0, Count>>;
  return materialize(reshape(stacked, S{stacked.shape().values()}));
}

template <class F, class... X>
auto map_examples(const F& f, Location where, const X&... x) {
  const std::array<Index, sizeof...(X)> counts{x.shape()[0]...};
  for (const Index count : counts)
    if (count != counts[0] || count == 0)
      throw ShapeError("vmap: arguments of " + std::to_string(counts[0]) + " and " + std::to_string(count) +
                       " examples" + at(where));
  const auto call = [&](Index i) { return materialize(f(burrow::at(x, i)...)); };
  using Result = std::remove_const_t<decltype(call(0))>;
  std::vector<Result, PoolAllocator<Result>> results;
  results.reserve(static_cast<std::size_t>(counts[0]));
  for (Index i = 0; i < counts[0]; ++i) results.push_back(call(i));
  return stacked_examples<leading_extent<shape_of<X>...>>(results, where);
}

}  // namespace detail

/// The function that maps f over the leading axis of its arguments: vmap(f)(x, y) is f(x[0], y[0]), f(x[1],
/// y[1]), ... stacked along a leading axis. f takes views of single examples and returns a tensor or an
/// expression; what all examples share, it captures. Gradients flow, to captured values too; `vmap(grad(f))`
/// gives the gradient of each example. f is called once for each example, and nothing is fused across them:
/// where f is made of operations that take leading axes, as most do, call it with the whole batch instead.
/// Throws ShapeError where the arguments have no examples, or not equally many.
template <class F>
auto vmap(const F& f, Location where = Location::here()) {
  return [kept = detail::Kept<F>{f}, where](const Expression auto&... x) {
    static_assert(detail::have_examples<decltype(x)...>(),
                  "vmap: the arguments have a leading axis, whose static extents agree");
    const auto tape = tape_of(x...);
    return detail::map_examples(kept.get(), where, operand(tape, x)...);
  };
}

}  // namespace burrow
