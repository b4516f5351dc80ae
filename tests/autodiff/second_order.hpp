// Comparisons of forward mode and second derivatives with differences of the gradient.
#pragma once

#include <burrow/autodiff/forward.hpp>
#include <burrow/tensor/create.hpp>

/// The largest difference between hvp(f, x, v) and the five-point difference of grad(f) along v, relative to
/// 1 + the largest element; or of jvp's value or tangent from the value and gradient of reverse mode, if that
/// is larger.
template <class F, class X>
double second_order_error(const F& f, const X& x) {
  using namespace burrow;
  const X v = normal<shape_of<X>, double>(Key{77}, x.shape());
  const auto gradient = [&](double step) { return grad(f)(x + step * v); };
  const double h = 1e-3;
  const auto differences =
      materialize((8 * (gradient(h) - gradient(-h)) - (gradient(2 * h) - gradient(-2 * h))) / (12 * h));
  const auto product = hvp(f, x, v);
  const auto [value, slopes] = value_and_grad(f, x);
  const auto [primal, tangent] = jvp(f, x, v);
  const double scale = 1 + max(abs(differences)).item();
  return std::max({max(abs(product - differences)).item() / scale, std::abs(primal.item() - value),
                   std::abs(tangent.item() - sum(slopes * v).item()) / scale});
}
