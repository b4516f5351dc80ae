// Layer normalisation along the last axis.
#pragma once

#include <burrow/ops/layer_norm/cpu.hpp>

namespace burrow {

namespace detail {

/// x, evaluated where it is an expression, and its norm, in one pass.
template <class X, class Gain, class Bias>
auto layer_norm_of(const char* name, const X& x, const Gain& gain, const Bias& bias, double epsilon,
                   Location where) {
  using D = device_of<X>;
  using C = compute_type<element_of<X>>;
  using Moments = RowMoments<C>;
  check_per_feature(name, "gain", gain.shape(), x.shape(), where);
  check_per_feature(name, "bias", bias.shape(), x.shape(), where);
  const auto tape = tape_of(x, gain, bias);
  const auto g = dense_operand(tape, gain);
  const auto b = dense_operand(tape, bias);
  const auto rows = rows_of(x.shape());
  Tensor<element_of<X>, shape_of<X>, D> y{x.shape()};
  const Buffer<D> saved{rows.count * Index{sizeof(Moments)}};
  auto value = row_operand(tape, name, x, [&](const auto& source) {
    layer_norm_forward(D{}, rows, source, g.view().data(), b.view().data(), static_cast<C>(epsilon), y.data(),
                       static_cast<Moments*>(saved.data()));
  });
  const auto in = to_node(value);
  const auto backward = [in, g, b, saved, rows](const auto& dy) {
    const auto dx = dense_target(in);
    const auto dgain = dense_target(g);
    const auto dbias = dense_target(b);
    layer_norm_backward(D{}, rows, in.view().data(), g.view().data(),
                        static_cast<const Moments*>(saved.data()), dy.data(), dx, dgain, dbias);
  };
  const auto again = [in, g, b, rows, epsilon] {
    Tensor<element_of<X>, shape_of<X>, D> values{in.shape()};
    const Buffer<D> same_moments{rows.count * Index{sizeof(Moments)}};
    layer_norm_forward(D{}, rows, dense_rows(in), g.view().data(), b.view().data(), static_cast<C>(epsilon),
                       values.data(), static_cast<Moments*>(same_moments.data()));
    return values;
  };
  auto norm = record(tape, name, y, Recomputable{backward, again}, in, g, b);
  return SumAndNorm<decltype(value), decltype(norm)>{std::move(value), std::move(norm)};
}

}  // namespace detail

/// y = gain n + bias with n = (x - mean(x)) / sqrt(variance(x) + epsilon), mean and (biased) variance over
/// the last axis (Ba, Kiros and Hinton 2016, arXiv 1607.06450). x is [..., C], gain and bias are [C]; y has
/// x's shape and type, computed in fp32 for bf16. An expression x is evaluated in the same pass. Throws
/// ShapeError where dynamic extents do not fit.
/// Gradient, with h = gain dy and rho = 1 / sqrt(variance + epsilon): dx = rho (h - mean(h) - n mean(h n)),
/// dgain = sum of dy n and dbias = sum of dy over the rows.
template <Expression X, Expression Gain, Expression Bias>
requires(detail::PerFeature<Gain, X>&& detail::PerFeature<Bias, X>) auto layer_norm(
    const X& x, const Gain& gain, const Bias& bias, double epsilon = 1e-5,
    Location where = Location::here()) {
  return detail::layer_norm_of("layer_norm", x, gain, bias, epsilon, where).norm;
}

/// {sum, norm} with sum = a + b and norm = layer_norm(sum, gain, bias), written in one pass: a residual
/// connection and the norm behind it. a and b are expressions that broadcast, and together [..., C]; bits and
/// gradients are those of the two operations, one after the other. Throws ShapeError where dynamic extents do
/// not fit.
template <Expression A, Expression B, Expression Gain, Expression Bias>
requires(detail::PerFeature<Gain, detail::Added<A, B>>&& detail::PerFeature<
         Bias, detail::Added<A, B>>) auto add_layer_norm(const A& a, const B& b, const Gain& gain,
                                                         const Bias& bias, double epsilon = 1e-5,
                                                         Location where = Location::here()) {
  return detail::layer_norm_of("add_layer_norm", a + b, gain, bias, epsilon, where);
}

// What they refuse.
namespace operation {
struct layer_norm;
struct add_layer_norm;
}  // namespace operation
template <Expression X, Expression Gain, Expression Bias>
requires(!detail::PerFeature<Gain, X> ||
         !detail::PerFeature<Bias, X>) auto layer_norm(const X&, const Gain&, const Bias&, double = 0,
                                                       Location = {})
    -> detail::PerFeatureMisuse<operation::layer_norm, X, Gain, Bias>;
template <Expression A, Expression B, Expression Gain, Expression Bias>
requires(!detail::PerFeature<Gain, detail::Added<A, B>> ||
         !detail::PerFeature<Bias, detail::Added<A, B>>) auto add_layer_norm(const A&, const B&, const Gain&,
                                                                             const Bias&, double = 0,
                                                                             Location = {}) ->
    typename detail::sum_misuse<operation::add_layer_norm, detail::Added<A, B>, Gain, Bias>::type;

}  // namespace burrow
