// Random choices from a key: integers, coins, categories, orders. Each depends on the key and the index of
// the element only; none has a gradient.
#pragma once

#include <burrow/ops/argmax/argmax.hpp>
#include <burrow/ops/sort/sort.hpp>
#include <burrow/tensor/create.hpp>

namespace burrow {

/// Integers in [low, high), each as likely as the others but for (high - low) / 2^64. Throws ValueError where
/// there are none.
template <class S, Element T = std::int64_t>
requires std::integral<T>
auto random_integers(Key key, Index low, Index high, const S& shape = {}, Location where = Location::here()) {
  if (low >= high)
    throw ValueError("random_integers: there is none from " + std::to_string(low) + " up to " +
                     std::to_string(high) + at(where));
  const auto count = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  Tensor<T, S> result{shape};
  T* const to = result.data();
  parallel_for(result.size(), 4096, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const auto words = key.words(static_cast<std::uint64_t>(i));
      const std::uint64_t drawn = ((std::uint64_t{words[0]} << 32) | words[1]) % count;
      to[i] = static_cast<T>(low + static_cast<Index>(drawn));
    }
  });
  return result;
}

/// True with the probability that each element of p is, of p's shape.
template <Expression P>
requires Real<element_of<P>>
auto bernoulli(Key key, const P& p) {
  const auto probability = materialize(stop_gradient(p));
  return Tensor(uniform<shape_of<P>, float, device_of<P>>(key, probability.shape()) < probability);
}

/// A category for each row of logits: [..., V] to int64 [...], category v with probability
/// softmax(logits)[v]; by the largest of logits - log(-log(u)) (Gumbel's trick, Maddison et al. 2014).
template <Expression Logits>
requires(Real<element_of<Logits>>&& shape_of<Logits>::rank >=
         1) auto categorical(Key key, const Logits& logits, Location where = Location::here()) {
  const auto scores = materialize(stop_gradient(logits));
  const auto u = uniform<shape_of<Logits>, float, device_of<Logits>>(key, scores.shape());
  return argmax<-1>(scores - log(-log(u)), where);
}

/// The numbers 0 ... count - 1 in a random order, as int64: `gather<0>(x, permutation(key, n))` shuffles
/// rows.
template <std::integral Count, class S = Shape<dyn>>
auto permutation(Key key, Count count, Location where = Location::here()) {
  const Index range = std::numeric_limits<Index>::max();
  const S shape{{static_cast<Index>(count)}, where};
  return argsort(random_integers(key, 0, range, shape, where));
}

}  // namespace burrow
