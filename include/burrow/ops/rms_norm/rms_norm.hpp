// Root-mean-square normalisation along the last axis.
#pragma once

#include <burrow/ops/rms_norm/cpu.hpp>

namespace burrow {

/// y = gain x rho with rho = 1 / sqrt(mean(x^2) + epsilon), the mean over the last axis (Zhang and Sennrich
/// 2019, arXiv 1910.07467; no mean is subtracted and nothing is added). x is [..., C], gain is [C]; y has x's
/// shape and type, computed in fp32 for bf16. Throws ShapeError where dynamic extents do not fit.
/// Gradient, with h = gain dy: dx = rho h - x (rho^3 / C) sum(h x), dgain = sum of dy x rho over the rows.
template <Expression X, Expression Gain>
requires detail::PerFeature<Gain, X>
auto rms_norm(const X& x, const Gain& gain, double epsilon = 1e-5, Location where = Location::here()) {
  using D = device_of<X>;
  using C = compute_type<element_of<X>>;
  detail::check_per_feature("rms_norm", "gain", gain.shape(), x.shape(), where);
  const auto tape = tape_of(x, gain);
  const auto in = dense_operand(tape, x);
  const auto g = dense_operand(tape, gain);
  const auto rows = detail::rows_of(in.shape());
  Tensor<element_of<X>, shape_of<X>, D> y{in.shape()};
  Tensor<C, Shape<dyn>, D> rho{Shape<dyn>{{rows.count}}};
  detail::rms_norm_forward(D{}, rows, in.view().data(), g.view().data(), static_cast<C>(epsilon), y.data(),
                           rho.data());
  return record(
      tape, "rms_norm", y,
      [in, g, rho, rows](const auto& dy) {
        const auto dx = detail::dense_target(in);
        const auto dgain = detail::dense_target(g);
        detail::rms_norm_backward(D{}, rows, in.view().data(), g.view().data(), rho.data(), dy.data(), dx,
                                  dgain);
      },
      in, g);
}

// What rms_norm refuses.
namespace operation {
struct rms_norm;
}
template <Expression X, Expression Gain>
requires(!detail::PerFeature<Gain, X>) auto rms_norm(const X&, const Gain&, double = 0)
    -> detail::PerFeatureMisuse<operation::rms_norm, X, Gain>;

}  // namespace burrow
