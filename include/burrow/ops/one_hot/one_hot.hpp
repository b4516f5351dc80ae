// Classes as rows with a single one.
#pragma once

#include <burrow/autodiff/trace.hpp>
#include <burrow/ops/index_check.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/rearranging.hpp>

namespace burrow {

/// y[..., c] is 1 where ids[...] == c, else 0: [...] integers give [..., classes] elements of type T. Throws
/// ValueError where an id is not in [0, classes). No gradient flows to integers.
template <Element T = float, Expression Ids, Index Classes>
requires detail::IndexElement<element_of<Ids>>
auto one_hot(const Ids& ids, const Shape<Classes>& classes, Location where = Location::here()) {
  using D = device_of<Ids>;
  const auto which = detail::to_node(materialize(stop_gradient(ids)));
  check_indices(D{}, "one_hot", "id", which.data(), which.shape(), classes[0], false, where);
  const auto table = arange<Shape<Classes>, std::int64_t, D>(classes);
  return Tensor(cast<T>(cast<std::int64_t>(expand_dims<-1>(which)) == table));
}
/// The same with a static number of classes: one_hot<10>(ids).
template <Index Classes, Element T = float, Expression Ids>
requires(Classes >= 0 &&
         detail::IndexElement<element_of<Ids>>) auto one_hot(const Ids& ids,
                                                             Location where = Location::here()) {
  return one_hot<T>(ids, Shape<Classes>{}, where);
}

}  // namespace burrow
