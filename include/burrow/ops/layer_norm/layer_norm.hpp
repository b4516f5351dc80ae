// Layer normalisation along the last axis.
#pragma once

#include <burrow/ops/layer_norm/cpu.hpp>

namespace burrow {

/// y = gain n + bias with n = (x - mean(x)) / sqrt(variance(x) + epsilon), mean and (biased) variance over
/// the last axis (Ba, Kiros and Hinton 2016, arXiv 1607.06450). x is [..., C], gain and bias are [C]; y has
/// x's shape and type, computed in fp32 for bf16. Throws ShapeError where dynamic extents do not fit.
/// Gradient, with h = gain dy and rho = 1 / sqrt(variance + epsilon): dx = rho (h - mean(h) - n mean(h n)),
/// dgain = sum of dy n and dbias = sum of dy over the rows.
template <Expression X, Expression Gain, Expression Bias>
requires(detail::PerFeature<Gain, X>&& detail::PerFeature<Bias, X>) auto layer_norm(
    const X& x, const Gain& gain, const Bias& bias, double epsilon = 1e-5,
    Location where = Location::here()) {
  using D = device_of<X>;
  using C = compute_type<element_of<X>>;
  using Moments = detail::RowMoments<C>;
  detail::check_per_feature("layer_norm", "gain", gain.shape(), x.shape(), where);
  detail::check_per_feature("layer_norm", "bias", bias.shape(), x.shape(), where);
  const auto tape = tape_of(x, gain, bias);
  const auto in = dense_operand(tape, x);
  const auto g = dense_operand(tape, gain);
  const auto b = dense_operand(tape, bias);
  const auto rows = detail::rows_of(in.shape());
  Tensor<element_of<X>, shape_of<X>, D> y{in.shape()};
  const Buffer<D> saved{rows.count * Index{sizeof(Moments)}};
  detail::layer_norm_forward(D{}, rows, in.view().data(), g.view().data(), b.view().data(),
                             static_cast<C>(epsilon), y.data(), static_cast<Moments*>(saved.data()));
  return record(
      tape, "layer_norm", y,
      [in, g, b, saved, rows](const auto& dy) {
        const auto dx = detail::dense_target(in);
        const auto dgain = detail::dense_target(g);
        const auto dbias = detail::dense_target(b);
        detail::layer_norm_backward(D{}, rows, in.view().data(), g.view().data(),
                                    static_cast<const Moments*>(saved.data()), dy.data(), dx, dgain, dbias);
      },
      in, g, b);
}

// What layer_norm refuses.
namespace operation {
struct layer_norm;
}
template <Expression X, Expression Gain, Expression Bias>
requires(!detail::PerFeature<Gain, X> ||
         !detail::PerFeature<Bias, X>) auto layer_norm(const X&, const Gain&, const Bias&, double = 0)
    -> detail::PerFeatureMisuse<operation::layer_norm, X, Gain, Bias>;

}  // namespace burrow
