// Arrays on the device for tests: made from values of the host, and read back.
#pragma once

#include <vector>

#include <burrow/core/cuda.cuh>
#include <burrow/core/key.hpp>

namespace burrow::test {

/// An array on the device. What was not given is not initialised.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(Index count) : count_{count}, buffer_{count * Index{sizeof(T)}} {}
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray{static_cast<Index>(values.size())} {
    detail::copy_bytes(Cpu{}, Cuda{}, buffer_.data(), values.data(), count_ * Index{sizeof(T)});
  }

  T* data() const { return static_cast<T*>(buffer_.data()); }
  const T* read() const { return data(); }
  std::vector<T> values() const {
    std::vector<T> result(static_cast<std::size_t>(count_));
    detail::copy_bytes(Cuda{}, Cpu{}, result.data(), buffer_.data(), count_ * Index{sizeof(T)});
    return result;
  }

 private:
  Index count_;
  Buffer<Cuda> buffer_;
};

/// Numbers in [-1, 1), the same for a seed; half and bf16 of few digits.
template <class T>
std::vector<T> some_numbers(Index count, std::uint64_t seed) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto bits = Key{seed}.words(i / 4)[i % 4];
    values[i] = static_cast<T>(static_cast<float>(static_cast<int>(bits >> 8) - (1 << 23)) * 0x1p-23f);
  }
  return values;
}

/// The tolerance for results of T, relative to the largest: what sums in another order may differ by.
template <class T>
constexpr double tolerance() {
  return std::same_as<T, double> ? 1e-12 : std::same_as<T, float> ? 1e-5 : 1e-2;
}

/// The largest difference, relative to the largest element; infinite where one is NaN and the other is not.
template <class T>
double difference(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 1e-30, apart = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    if (x == y || (x != x && y != y)) continue;
    if (!(std::abs(x - y) < INFINITY)) return INFINITY;
    apart = std::max(apart, std::abs(x - y));
  }
  for (const T& x : b)
    if (std::abs(static_cast<double>(x)) < INFINITY)
      largest = std::max(largest, std::abs(static_cast<double>(x)));
  return apart / largest;
}

/// The same array on the host and on the device, `shift` elements behind the start of an access.
template <class T>
struct Both {
  Index shift;
  std::vector<T> host;
  DeviceArray<T> device;

  Both(Index count, std::uint64_t seed, Index by = 0)
      : shift{by}, host{some_numbers<T>(count + by, seed)}, device{host} {}
  explicit Both(const std::vector<T>& values) : shift{0}, host{values}, device{values} {}

  T* at(Cpu) { return host.data() + shift; }
  T* at(Cuda) { return device.data() + shift; }
  /// The same, to be read.
  template <class D>
  const T* read(D d) {
    return at(d);
  }
  bool same(double allowed = tolerance<T>()) const { return difference(device.values(), host) <= allowed; }
};

/// f(device) for both.
template <class F>
void on_both(const F& f) {
  f(Cuda{});
  f(Cpu{});
}

}  // namespace burrow::test
