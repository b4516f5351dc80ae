// Root-mean-square normalisation along the last axis.
#pragma once

#include <burrow/ops/rms_norm/cpu.hpp>

namespace burrow {

namespace detail {

/// x, evaluated where it is an expression, and its norm, in one pass.
template <class X, class Gain>
auto rms_norm_of(const char* name, const X& x, const Gain& gain, double epsilon, Location where) {
  using D = device_of<X>;
  using C = compute_type<element_of<X>>;
  check_per_feature(name, "gain", gain.shape(), x.shape(), where);
  const auto tape = tape_of(x, gain);
  const auto g = dense_operand(tape, gain);
  const auto rows = rows_of(x.shape());
  Tensor<element_of<X>, shape_of<X>, D> y{x.shape()};
  Tensor<C, Shape<dyn>, D> rho{Shape<dyn>{{rows.count}}};
  auto value = row_operand(tape, name, x, [&](const auto& source) {
    rms_norm_forward(D{}, rows, source, g.view().data(), static_cast<C>(epsilon), y.data(), rho.data());
  });
  const auto in = to_node(value);
  const auto backward = [in, g, rho, rows](const auto& dy) {
    const auto dx = dense_target(in);
    const auto dgain = dense_target(g);
    rms_norm_backward(D{}, rows, in.view().data(), g.view().data(), rho.data(), dy.data(), dx, dgain);
  };
  const auto again = [in, g, rows, epsilon] {
    Tensor<element_of<X>, shape_of<X>, D> values{in.shape()};
    Tensor<C, Shape<dyn>, D> same_rho{Shape<dyn>{{rows.count}}};
    rms_norm_forward(D{}, rows, dense_rows(in), g.view().data(), static_cast<C>(epsilon), values.data(),
                     same_rho.data());
    return values;
  };
  auto norm = record(tape, name, y, Recomputable{backward, again}, in, g);
  return SumAndNorm<decltype(value), decltype(norm)>{std::move(value), std::move(norm)};
}

}  // namespace detail

/// y = gain x rho with rho = 1 / sqrt(mean(x^2) + epsilon), the mean over the last axis (Zhang and Sennrich
/// 2019, arXiv 1910.07467; no mean is subtracted and nothing is added). x is [..., C], gain is [C]; y has x's
/// shape and type, computed in fp32 for bf16. An expression x is evaluated in the same pass. Throws
/// ShapeError where dynamic extents do not fit.
/// Gradient, with h = gain dy: dx = rho h - x (rho^3 / C) sum(h x), dgain = sum of dy x rho over the rows.
template <Expression X, Expression Gain>
requires detail::PerFeature<Gain, X>
auto rms_norm(const X& x, const Gain& gain, double epsilon = 1e-5, Location where = Location::here()) {
  return detail::rms_norm_of("rms_norm", x, gain, epsilon, where).norm;
}

/// {sum, norm} with sum = a + b and norm = rms_norm(sum, gain), written in one pass: a residual connection
/// and the norm behind it. a and b are expressions that broadcast, and together [..., C]; bits and gradients
/// are those of the two operations, one after the other. Throws ShapeError where dynamic extents do not fit.
template <Expression A, Expression B, Expression Gain>
requires detail::PerFeature<Gain, detail::Added<A, B>>
auto add_rms_norm(const A& a, const B& b, const Gain& gain, double epsilon = 1e-5,
                  Location where = Location::here()) {
  return detail::rms_norm_of("add_rms_norm", a + b, gain, epsilon, where);
}

// What they refuse.
namespace operation {
struct rms_norm;
struct add_rms_norm;
}  // namespace operation
template <Expression X, Expression Gain>
requires(!detail::PerFeature<Gain, X>) auto rms_norm(const X&, const Gain&, double = 0, Location = {})
    -> detail::PerFeatureMisuse<operation::rms_norm, X, Gain>;
template <Expression A, Expression B, Expression Gain>
requires(!detail::PerFeature<Gain, detail::Added<A, B>>) auto add_rms_norm(const A&, const B&, const Gain&,
                                                                           double = 0, Location = {}) ->
    typename detail::sum_misuse<operation::add_rms_norm, detail::Added<A, B>, Gain>::type;

}  // namespace burrow
