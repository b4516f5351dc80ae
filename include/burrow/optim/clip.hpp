// Clipping by the global norm. Sums have a fixed order, whatever the number of threads.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>

#include <burrow/core/device.hpp>
#include <burrow/core/eigen.hpp>
#include <burrow/core/error.hpp>
#include <burrow/core/parallel.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

namespace detail {

/// The squares of packets as doubles, added to a sum of eight lanes.
template <class G>
class SquaresInDouble {
  using Loaded = std::conditional_t<std::same_as<G, double>, double, float>;
  typedef double Doubles __attribute__((vector_size(64)));
  typedef Loaded Values __attribute__((vector_size(8 * sizeof(Loaded))));

 public:
  static constexpr Index size = 8;

  SquaresInDouble() : sums_{} {}  // written out, for nvcc would compile another one for devices as well
  void add(const G* values) {
    Values loaded;
    if constexpr (std::same_as<G, Loaded>)
      std::memcpy(&loaded, values, sizeof(loaded));
    else
      for (int lane = 0; lane < size; ++lane) loaded[lane] = static_cast<Loaded>(values[lane]);
#if defined(__AVX512F__)
    if constexpr (std::same_as<Loaded, float>) {
      const __m512d wide = _mm512_cvtps_pd(__builtin_bit_cast(__m256, loaded));
      sums_ += __builtin_bit_cast(Doubles, _mm512_mul_pd(wide, wide));
      return;
    }
#endif
    const auto wide = __builtin_convertvector(loaded, Doubles);
    sums_ += wide * wide;
  }
  double sum() const {
    double total = 0;
    for (int lane = 0; lane < size; ++lane) total += sums_[lane];
    return total;
  }

 private:
  Doubles sums_;
};

/// Thirty-two sums of every thirty-second value, and the rest, added in order.
template <class G>
double sum_of_squares_in_order(std::span<const G> values) {
  constexpr std::size_t size = SquaresInDouble<G>::size;
  std::array<SquaresInDouble<G>, 4> sums;
  std::size_t i = 0;
  for (; i + sums.size() * size <= values.size(); i += sums.size() * size)
    for (std::size_t part = 0; part < sums.size(); ++part) sums[part].add(values.data() + i + part * size);
  double total = 0;
  for (const auto& part : sums) total += part.sum();
  for (const G value : values.subspan(i)) total += static_cast<double>(value) * static_cast<double>(value);
  return total;
}

}  // namespace detail

namespace detail {

template <Real G>
double sum_of_squares(Cpu, std::span<const G> values) {
  constexpr Index parts = 256;
  std::array<double, parts> sums{};
  const auto count = static_cast<Index>(values.size());
  const auto boundary = [&](Index part) {
    return static_cast<std::size_t>(count / parts * part + count % parts * part / parts);
  };
  const Index grain = count < (Index{1} << 16) ? parts : 1;
  parallel_for(parts, grain, [&](Index begin, Index end) {
    for (Index part = begin; part < end; ++part)
      sums[static_cast<std::size_t>(part)] =
          sum_of_squares_in_order(values.subspan(boundary(part), boundary(part + 1) - boundary(part)));
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

inline double square_root(Cpu, double x) { return std::sqrt(x); }

}  // namespace detail

/// The sum of the squares of all values, in double; the same bits for every number of threads. Ranks that own
/// slices add these before they take the root. D is the device that the values lie on; on another than the
/// host the result is a DeviceNumber, which is waited for where it is used as a number.
template <class D = Cpu, Real G>
auto sum_of_squares(std::span<const G> values) {
  return sum_of_squares(D{}, values);
}

/// The Euclidean norm of all values together; that of a gradient on the GPU is
/// `global_norm<Cuda>(gradient.values())`, a DeviceNumber.
template <class D = Cpu, Real G>
auto global_norm(std::span<const G> values) {
  return square_root(D{}, sum_of_squares<D>(values));
}

/// What to multiply a gradient of that norm by, so that its norm is at most `max_norm`: min(1, max_norm /
/// norm). NaN when the norm is not finite: look at the norm before stepping. A norm on a device gives a
/// factor there, which `UpdateOptions` take without a wait. Throws ValueError unless max_norm > 0.
inline double clip_factor(double norm, double max_norm, Location where = Location::here()) {
  if (!(max_norm > 0)) throw ValueError("clip_factor: the largest norm must be positive" + at(where));
  if (!std::isfinite(norm)) return std::numeric_limits<double>::quiet_NaN();
  return norm > max_norm ? max_norm / norm : 1.0;
}

}  // namespace burrow
