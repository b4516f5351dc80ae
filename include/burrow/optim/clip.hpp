// Clipping by the global norm. Sums have a fixed order, whatever the number of threads.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>

#include <burrow/core/dtype.hpp>
#include <burrow/core/error.hpp>
#include <burrow/core/parallel.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

namespace detail {

template <class G>
double sum_of_squares_in_order(std::span<const G> values) {
  constexpr std::size_t lane_count = 8;
  std::array<double, lane_count> lanes_sum{};
  std::size_t i = 0;
  for (; i + lane_count <= values.size(); i += lane_count)
    for (std::size_t lane = 0; lane < lane_count; ++lane) {
      const auto value = static_cast<double>(values[i + lane]);
      lanes_sum[lane] += value * value;
    }
  for (; i < values.size(); ++i) {
    const auto value = static_cast<double>(values[i]);
    lanes_sum[i % lane_count] += value * value;
  }
  double sum = 0;
  for (const double lane : lanes_sum) sum += lane;
  return sum;
}

}  // namespace detail

/// The sum of the squares of all values, in double; the same bits for every number of threads. Ranks that own
/// slices add these before they take the root.
template <Real G>
double sum_of_squares(std::span<const G> values) {
  constexpr Index parts = 256;
  std::array<double, parts> sums{};
  const auto count = static_cast<Index>(values.size());
  const auto boundary = [&](Index part) {
    return static_cast<std::size_t>(count / parts * part + count % parts * part / parts);
  };
  const Index grain = count < (Index{1} << 16) ? parts : 1;
  parallel_for(parts, grain, [&](Index begin, Index end) {
    for (Index part = begin; part < end; ++part)
      sums[static_cast<std::size_t>(part)] = detail::sum_of_squares_in_order(
          values.subspan(boundary(part), boundary(part + 1) - boundary(part)));
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

/// The Euclidean norm of all values together.
template <Real G>
double global_norm(std::span<const G> values) {
  return std::sqrt(sum_of_squares(values));
}

/// What to multiply a gradient of that norm by, so that its norm is at most `max_norm`: min(1, max_norm /
/// norm). NaN when the norm is not finite: look at the norm before stepping. Throws ValueError unless
/// max_norm > 0.
inline double clip_factor(double norm, double max_norm) {
  if (!(max_norm > 0)) throw ValueError("clip_factor: the largest norm must be positive");
  if (!std::isfinite(norm)) return std::numeric_limits<double>::quiet_NaN();
  return norm > max_norm ? max_norm / norm : 1.0;
}

}  // namespace burrow
