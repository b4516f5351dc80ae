// One number that a computation left on its device: a loss, a norm, a count. It becomes a number of the host
// where somebody needs one, and not before.
#pragma once

#include <concepts>
#include <utility>

#include <burrow/tensor/tensor.hpp>

namespace burrow {

/// A number on a device. It converts to T, which copies it and so waits for the device every time; `tensor()`
/// goes on on the device without a wait.
template <Element T, class D>
class DeviceNumber {
 public:
  using element = T;

  explicit DeviceNumber(Tensor<T, Shape<>, D> value) : value_{std::move(value)} {}

  operator T() const { return value_.item(); }
  template <Element U>
  requires(!std::same_as<U, T>) explicit operator U() const { return static_cast<U>(value_.item()); }
  /// The same as an operand of expressions.
  const Tensor<T, Shape<>, D>& tensor() const { return value_; }

 private:
  Tensor<T, Shape<>, D> value_;
};

namespace detail {

/// The only element of a result: a number at once where it lies on the host, else a DeviceNumber.
template <class T, class S, class D>
auto number_of(const Tensor<T, S, D>& x) {
  if constexpr (on_host<D>)
    return x.item();
  else
    return DeviceNumber<T, D>{Tensor<T, Shape<>, D>::over(x.storage(), const_cast<T*>(x.data()), Shape<>{})};
}

}  // namespace detail
}  // namespace burrow
