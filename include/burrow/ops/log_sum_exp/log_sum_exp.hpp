// log(sum(exp(x))) along static axes, without overflow.
#pragma once

#include <burrow/autodiff/reduce.hpp>

namespace burrow {

/// log(sum(exp(x))) over the given axes (all by default), or with `keep_axes` over axes that stay with extent
/// 1, in nats: max(x) + log(sum(exp(x - max(x)))). bf16 is computed in fp32. -infinity where nothing but
/// -infinity, or nothing at all, is summed. Gradient: dx = exp(x - y) dy, the softmax over the axes times dy.
template <int... Axes, Expression E, std::same_as<KeepAxes>... Keep>
requires(detail::ValidAxes<shape_of<E>, Axes...>&& Real<element_of<E>>) auto log_sum_exp(const E& e,
                                                                                         Keep...) {
  using C = compute_type<element_of<E>>;
  using S = shape_of<E>;
  const auto tape = tape_of(e);
  const auto node = detail::to_node(cast<C>(e));
  if constexpr (!Traced<E>) detail::check_untraced(node);
  const auto x = detail::untraced(node);
  const auto largest = max<Axes...>(x, keep_axes);
  const auto shift = materialize(where(abs(largest) < std::numeric_limits<C>::infinity(), largest, 0));
  const auto total = sum<Axes...>(exp(x - shift), keep_axes);
  const auto kept = materialize(cast<element_of<E>>(shift + log(total)));
  const auto backward = [node, shift, total](const auto& dy) {
    const auto log_total = log(where(total == 0, 1, total));
    add_gradient(node, cast<C>(detail::with_kept_axes<S, Axes...>(dy, node.shape())) *
                           exp(detail::untraced(node) - shift - log_total));
  };
  if constexpr (sizeof...(Keep) > 0) {
    return record(tape, "log_sum_exp", kept, backward, node);
  } else {
    const auto shape = detail::dropped_shape<S, Axes...>(e.shape());
    return record(tape, "log_sum_exp", materialize(reshape(kept, shape)), backward, node);
  }
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct log_sum_exp;
}  // namespace operation

template <int... Axes, Expression E, class... Arguments>
auto log_sum_exp(const E&, Arguments...)
    -> detail::ReductionMisuse<operation::log_sum_exp, true, E, void(Arguments...), Axes...>;

}  // namespace burrow
