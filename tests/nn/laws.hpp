// What tests of layers share: distances to a reference, names, and the gradients of all parameters.
#pragma once

#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/module.hpp>
#include <burrow/tensor/create.hpp>
#include <cmath>
#include <cstring>

#include "tests/worse.hpp"

namespace nn_test {

using namespace burrow;

/// Largest |a - b| / (1 + |b|) of two tensors of one size; infinite where the sizes differ.
template <class A, class B>
double distance(const A& a, const B& b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
    const double error = std::abs(x - y) / (1 + std::abs(y));
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  return worst;
}

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(*a.data())) == 0;
}

template <class Model>
std::string names_of(const Model& model) {
  std::string names;
  for_each_parameter(model, [&](const std::string& name, const auto&) { names += name + ' '; });
  return names;
}

/// The largest relative error of the gradient of loss(x) with respect to the parameters of a model in double,
/// against five-point differences. `loss` makes a scalar of x, watched or not.
template <class Model, class X, class F>
double parameter_gradient_error(Model& model, const X& x, const F& loss) {
  const auto gradient = value_and_grad(model, [&](Tape& tape) { return loss(tape.watch(x)); }).second;
  const auto values = parameters(model).values();
  double worst = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double center = values[i], step = 1e-3;
    const auto at_offset = [&](double offset) {
      values[i] = center + offset;
      return static_cast<double>(materialize(loss(x)).item());
    };
    const double slope =
        (8 * (at_offset(step) - at_offset(-step)) - (at_offset(2 * step) - at_offset(-2 * step))) /
        (12 * step);
    values[i] = center;
    worst = worse(worst, std::abs(gradient.values()[i] - slope) / (1 + std::abs(slope)));
  }
  return worst;
}

/// True where the gradients of a layer in double agree with differences: of all its parameters and of its
/// input.
template <class Model, class X>
bool gradients_agree(Model& model, const X& x) {
  const double of_parameters =
      parameter_gradient_error(model, x, [&](const auto& in) { return sum(square(model(in) - 0.25)); });
  const double of_input = gradient_error([&](const auto& in) { return model(in); }, x);
  return of_parameters <= 1e-8 && of_input <= 1e-8;
}

}  // namespace nn_test
