// Losses of one element or one row: Huber, binary cross-entropy, cross-entropy of soft targets, smoothed
// labels. None takes a mean; that is the caller's.
#pragma once

#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/one_hot/one_hot.hpp>
#include <burrow/ops/softmax/softmax.hpp>

namespace burrow {

/// e^2 / 2 where |e| <= delta, delta (|e| - delta / 2) beyond (Huber 1964), lazily. Gradient: e limited to
/// [-delta, delta].
template <Expression E>
requires Real<element_of<E>>
auto huber(const E& e, double delta = 1) {
  const auto size = abs(e);
  return where(size <= delta, square(e) * 0.5, size * delta - delta * delta / 2);
}

/// -t log p - (1 - t) log(1 - p) with p = sigmoid(x), element by element and lazily, from the logits x and
/// targets t in [0, 1]: softplus(x) - x t, which does not overflow. Gradient: dx = (p - t) dy.
template <Expression Logits, class Targets>
requires(Real<element_of<Logits>>&& Elementwise<Logits, Targets>) auto binary_cross_entropy(
    const Logits& logits, const Targets& targets, Location where = Location::here()) {
  return softplus(logits) - detail::map_pair(functors::Multiply{}, logits, targets, where);
}

/// -sum(t log(softmax(x))) over each row of the last axis, in nats: logits x and targets t, [..., V] both,
/// give [...]. The targets are probabilities: where rows of them sum to one, the gradient is dx = (softmax(x)
/// - t) dy. For integer targets `cross_entropy` needs no rows of targets.
template <RealRows Logits, Expression Targets>
requires Matching<shape_of<Logits>, shape_of<Targets>>
auto soft_cross_entropy(const Logits& logits, const Targets& targets, Location where = Location::here()) {
  return -sum<-1>(detail::map_pair(functors::Multiply{}, targets, log_softmax(logits), where));
}

/// Targets of `soft_cross_entropy` for integer ids [...]: 1 - smoothing + smoothing / Classes at the id and
/// smoothing / Classes elsewhere (Szegedy et al. 2016), [..., Classes] elements of type T. Throws ValueError
/// where an id is not in [0, Classes).
template <Index Classes, Element T = float, Expression Ids>
requires(Classes > 0 && Real<T> &&
         detail::IndexElement<element_of<Ids>>) auto smoothed_labels(const Ids& ids, double smoothing,
                                                                     Location where = Location::here()) {
  return Tensor(one_hot<Classes, T>(ids, where) * (1 - smoothing) + smoothing / Classes);
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct soft_cross_entropy;
}
template <Expression Logits, Expression Targets>
requires(RealRows<Logits> && !Matching<shape_of<Logits>, shape_of<Targets>>) auto soft_cross_entropy(
    const Logits&, const Targets&, Location = {})
    -> misuse::shapes_do_not_fit<operation::soft_cross_entropy, shape_of<Logits>, shape_of<Targets>>;

}  // namespace burrow
