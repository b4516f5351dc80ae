// Operands of an attention on the host and on the device, and what both make of them.
#pragma once

#include <random>
#include <vector>

#include <burrow/ops/attention/cpu.hpp>
#include <burrow/ops/attention/cuda.cuh>

#include "tests/worse.hpp"

namespace attention_test {

using namespace burrow;
using burrow::detail::AttentionExtents;
using burrow::detail::AttentionGradients;
using burrow::detail::AttentionOperands;

enum class Bias { none, linear, relative };

/// An array on the host with its copy on the device.
template <class T>
class Array {
 public:
  explicit Array(Index count) : host_(static_cast<std::size_t>(count)), device_{bytes()} {}
  /// Random numbers of normal distribution.
  Array(Index count, unsigned seed, double scale) : Array{count} {
    std::mt19937 bits{seed};
    std::normal_distribution<double> normal{0, scale};
    for (T& x : host_) x = static_cast<T>(normal(bits));
    detail::copy_bytes(Cpu{}, Cuda{}, device_.data(), host_.data(), bytes());
  }

  Index size() const { return static_cast<Index>(host_.size()); }
  T* host() { return host_.data(); }
  const T* host() const { return host_.data(); }
  T* device() const { return static_cast<T*>(device_.data()); }
  std::vector<T> downloaded() const {
    std::vector<T> values(host_.size());
    detail::copy_bytes(Cuda{}, Cpu{}, values.data(), device_.data(), bytes());
    return values;
  }
  const std::vector<T>& values() const { return host_; }
  /// The host's values again on the device.
  void upload() { detail::copy_bytes(Cpu{}, Cuda{}, device_.data(), host_.data(), bytes()); }

 private:
  Index bytes() const { return size() * Index{sizeof(T)}; }

  std::vector<T> host_;
  Buffer<Cuda> device_;
};

/// The largest difference, over the largest of the numbers expected.
template <class A, class B>
double distance(const std::vector<A>& a, const std::vector<B>& expected) {
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(expected[i]);
    largest = std::max(largest, std::abs(y));
    difference = worse(difference, std::abs(x - y));
  }
  return largest == 0 ? difference : difference / largest;
}

/// Operands of type T; all arrays exist, a bias that is not asked for is not passed on.
template <class T>
struct Operands {
  using C = compute_type<T>;
  AttentionExtents e;
  Bias bias;
  Array<T> q, k, v, r, u, w;
  Array<C> slopes;

  Operands(const AttentionExtents& extents, Bias of)
      : e{extents},
        bias{of},
        q{e.batch * e.queries * e.width(), 1, 1},
        k{e.batch * e.keys * e.key_width(), 2, 1},
        v{e.batch * e.keys * e.key_width(), 3, 1},
        r{e.keys * e.width(), 4, 1},
        u{e.width(), 5, 0.5},
        w{e.width(), 6, 0.5},
        slopes{e.heads, 7, 0.1} {}

  AttentionOperands<T> on_host() const {
    return pointers(q.host(), k.host(), v.host(), r.host(), u.host(), w.host(), slopes.host());
  }
  AttentionOperands<T> on_device() const {
    return pointers(q.device(), k.device(), v.device(), r.device(), u.device(), w.device(), slopes.device());
  }

 private:
  AttentionOperands<T> pointers(const T* q_, const T* k_, const T* v_, const T* r_, const T* u_, const T* w_,
                                const C* slopes_) const {
    AttentionOperands<T> in{q_, k_, v_};
    if (bias == Bias::relative) in = {q_, k_, v_, r_, u_, w_};
    if (bias == Bias::linear) in.slopes = slopes_;
    return in;
  }
};

}  // namespace attention_test
