// What tests of operations share: random operands, distances to a reference, and laws about threads.
#pragma once

#include <bit>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/core/key.hpp>
#include <burrow/core/parallel.hpp>
#include <burrow/tensor/create.hpp>
#include <cmath>
#include <cstring>
#include <initializer_list>

#include "tests/threads.hpp"

namespace ops_test {

using namespace burrow;

/// What rounding to T allows beside a reference in double.
template <class T>
constexpr double tolerance() {
  return std::same_as<T, double> ? 1e-12 : std::same_as<T, float> ? 1e-5 : 1e-2;
}

template <class T, class S>
Tensor<T, S> random(int seed, const S& shape = {}, double scale = 1) {
  const auto numbers = normal<S, double>(Key{static_cast<std::uint64_t>(seed)}, shape);
  return Tensor<T, S>(cast<T>(numbers * scale));
}

/// Ids in [0, limit).
template <class S>
Tensor<std::int32_t, S> random_ids(int seed, const S& shape, Index limit) {
  Tensor<std::int32_t, S> ids{shape};
  const auto numbers = uniform<S, double>(Key{static_cast<std::uint64_t>(seed)}, shape);
  for (Index i = 0; i < ids.size(); ++i)
    ids.data()[i] = static_cast<std::int32_t>(numbers.data()[i] * static_cast<double>(limit));
  return ids;
}

template <class S>
Index row_width(const S& shape) {
  return shape[-1];
}
template <class S>
Index row_count(const S& shape) {
  return shape.size() / std::max<Index>(shape[-1], 1);
}

/// Largest |a - b| / (1 + |b|); infinite where one of them is NaN and the other is not.
template <class T, class S, class S2>
double distance(const Tensor<T, S>& a, const Tensor<double, S2>& b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a.data()[i]), y = b.data()[i];
    const double error = std::abs(x - y) / (1 + std::abs(y));
    worst = std::isnan(error) && !(std::isnan(x) && std::isnan(y)) ? INFINITY : std::max(worst, error);
  }
  return worst;
}

template <class T, class S>
bool same_bits(const Tensor<T, S>& a, const Tensor<T, S>& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0;
}

/// Runs a computation on 1, 2, 3 and 7 threads; true where `equal` holds between all results.
template <class F, class Equal>
bool thread_independent(const F& f, const Equal& equal) {
  const Threads scope{1};
  const auto expected = f();
  bool same = true;
  for (const int count : {2, 3, 7}) {
    set_threads(count);
    same = same && equal(expected, f());
  }
  return same;
}

/// Row widths below, at and above those of packets.
inline constexpr std::initializer_list<Index> widths{1, 3, 5, 8, 13, 33, 130};

}  // namespace ops_test
