// What attention knows of positions beforehand: sinusoidal encodings of distances (Transformer-XL) and the
// slopes of linear biases (ALiBi).
#pragma once

#include <cmath>
#include <string>

#include <burrow/ops/position_table.hpp>

namespace burrow {

/// Row p is the encoding [sin(p w_0), ..., sin(p w_{d/2-1}), cos(p w_0), ...] of distance p, with w_m =
/// 10000^(-2m/d): [count, width] for an even width, sine and cosine concatenated (Dai et al. 2019). Encodings
/// are kept and shared: asking again, or for fewer rows, computes nothing.
template <Index Width, Element T = float, class D = Cpu>
Tensor<T, Shape<dyn, Width>, D> sinusoids(Index count, Index width = Width,
                                          Location where = Location::here()) {
  if (width % 2 != 0)
    throw ShapeError("sinusoids: a width of " + std::to_string(width) + " is not even" + at(where));
  using S = Shape<dyn, Width>;
  const auto table = detail::position_table<detail::AngleOrder::sines_first, T, S, D>(count, width, 10000.0);
  const auto all = table.leaf();
  return Tensor<T, S, D>::over({Buffer<D>{all.storage()}, const_cast<T*>(all.data()), S{{count, width}}});
}

/// The slopes of `alibi_attention` for a number of heads (Press et al. 2021, section 3): 2^(-8 h / heads) for
/// h = 1 .. heads where `heads` is a power of two. Otherwise those of the next smaller power of two P, then
/// every second one of 2 P: [heads].
template <Element T = float, class D = Cpu>
Tensor<T, Shape<dyn>, D> alibi_slopes(Index heads) {
  Tensor<T, Shape<dyn>> slopes{Shape<dyn>{{heads}}};
  Index power = 1;
  while (2 * power <= heads) power *= 2;
  for (Index h = 0; h < heads; ++h) {
    const double exponent = h < power ? static_cast<double>(h + 1) : static_cast<double>(h - power) + 0.5;
    slopes.data()[h] = static_cast<T>(std::exp2(-8.0 * exponent / static_cast<double>(power)));
  }
  return to<D>(slopes);
}

}  // namespace burrow
