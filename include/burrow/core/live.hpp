// Variables of the host that a computation reads anew each time: what changes from step to step where a step
// is captured once and replayed on a device. Anywhere else, and on the CPU, they are numbers like others.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <burrow/core/device.hpp>
#include <burrow/core/error.hpp>
#include <burrow/core/key.hpp>

namespace burrow {

/// A variable of the host, which must outlive what uses it.
template <class T>
class Live {
 public:
  explicit Live(const T& variable) : variable_{&variable} {}

  /// Its value at this moment.
  T now() const { return *variable_; }
  operator T() const { return now(); }

 private:
  const T* variable_;
};

/// A key that follows from a variable: `fold_in` as of Key, carried out when it is read.
class LiveKey {
 public:
  explicit LiveKey(const Key& variable) : variable_{&variable} {}

  /// The key for item `data` under this key. Throws Error beyond eight of them inside one another.
  LiveKey fold_in(std::uint64_t data) const {
    if (folds_ == data_.size()) throw Error("LiveKey: more than eight fold_in inside one another");
    LiveKey result = *this;
    result.data_[result.folds_++] = data;
    return result;
  }
  /// Its value at this moment.
  Key now() const {
    Key key = *variable_;
    for (std::size_t i = 0; i < folds_; ++i) key = key.fold_in(data_[i]);
    return key;
  }

 private:
  const Key* variable_;
  std::array<std::uint64_t, 8> data_{};
  std::size_t folds_ = 0;
};

/// A variable that is read when the computation runs, and again before every replay of a captured step: a
/// learning rate, or the key of a step's random numbers. The variable must outlive what uses it.
template <class T>
Live<T> live(const T& variable) {
  return Live<T>{variable};
}
inline LiveKey live(const Key& variable) { return LiveKey{variable}; }
template <class T>
void live(const T&&) = delete;

/// What dropout draws from: a key, or a variable that has one.
template <class K>
concept RandomKey = std::same_as<K, Key> || std::same_as<K, LiveKey>;

/// A number of one step: a value, or a variable.
class StepNumber {
 public:
  StepNumber(double value) : value_{value} {}
  StepNumber(Live<double> variable) : variable_{variable} {}

  /// Its value at this moment.
  double now() const { return variable_ ? variable_->now() : value_; }
  operator double() const { return now(); }

 private:
  double value_ = 0;
  std::optional<Live<double>> variable_;
};

namespace detail {

/// A value that a kernel takes: with the launch, or from memory that is written anew before each replay.
template <class T>
struct Given {
  T value;
  const T* changing = nullptr;
  constexpr const T& get() const { return changing == nullptr ? value : *changing; }
};

template <class D>
Given<Key> given_key(D, Key key) {
  return {key};
}
template <class D>
Given<Key> given_key(D device, LiveKey key) {
  return given(device, [key] { return key.now(); });
}
/// The value of now(). A device may ask for it again.
template <class Now>
auto given(Cpu, const Now& now) {
  return Given<decltype(now())>{now()};
}
/// f() for this step: on a device, in a captured step before each replay.
template <class F>
void each_step(Cpu, const F& f) {
  f();
}

}  // namespace detail
}  // namespace burrow
