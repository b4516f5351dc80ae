// Second derivatives of a loss with respect to the parameters of a model whose elements are dual numbers.
#pragma once

#include <span>

#include <burrow/core/dual_number.hpp>
#include <burrow/nn/module.hpp>

namespace burrow {

/// The policy of a model that is differentiated twice, or in forward mode: parameters and activations are
/// dual numbers.
template <class T = double, class D = Cpu>
using DualPolicy = Policy<DualNumber<T>, DualNumber<T>, D>;

/// The Hessian-vector product of f(tape), a traced scalar computed with the model, with respect to the
/// model's parameters: the derivative of their gradient along `direction`, both flat in the order of the
/// parameters. The model's elements are dual numbers; their tangents are set to the direction for this call
/// and 0 after it. Throws ShapeError where the direction has not as many elements as the model.
template <Module Model, class F>
requires(detail::is_dual<detail::module_element_of<Model>>) auto hvp(
    const Model& model, const F& f,
    std::span<const decltype(detail::module_element_of<Model>::value)> direction,
    Location where = Location::here()) {
  using T = decltype(detail::module_element_of<Model>::value);
  const auto values = parameters(model, where).values();
  if (values.size() != direction.size())
    throw ShapeError("hvp: a direction of " + std::to_string(direction.size()) + " elements for " +
                     std::to_string(values.size()) + " parameters" + at(where));
  struct Tangents {
    std::span<DualNumber<T>> values;
    ~Tangents() {
      for (auto& value : values) value.tangent = 0;
    }
  } const tangents{values};
  for (std::size_t i = 0; i < values.size(); ++i) values[i].tangent = direction[i];
  const auto gradient = value_and_grad(model, f, where).second;
  Tensor<T, Shape<dyn>> product{Shape<dyn>{{static_cast<Index>(values.size())}}};
  T* const to = product.data();
  for (std::size_t i = 0; i < values.size(); ++i) to[i] = gradient.values()[i].tangent;
  return product;
}

}  // namespace burrow
