// DetectAnomaly: stops at the first operation that gives a NaN or an infinity, forward or backward.
#pragma once

#include <burrow/core/observe.hpp>

namespace burrow {

/// While it exists, the values of all operations on this thread are looked at, and in the backward pass the
/// gradients that each gives to its operands; throws ValueError that names the first operation with one that
/// is NaN or infinite. Reads every value once more, so it is for finding a fault. An elementwise expression
/// goes by the name of its outermost function; `materialize` its parts to look into it.
class DetectAnomaly : public Observer {
 public:
  void finishes(const ObservedOperation& operation) override {
    for (const ObservedValues& values : operation.written) {
      if (values.data == nullptr || values.first_nonfinite == nullptr) continue;
      const Index at = values.first_nonfinite(values.data, values.count);
      if (at < 0) continue;
      const std::string element = "element " + std::to_string(at) + " (row-major) of ";
      const std::string what = std::string(operation.dtype) + ' ' + operation.shape();
      if (operation.backward)
        throw ValueError("detect_anomaly: the backward pass of " + std::string(operation.name) + " (" + what +
                         ") gives a NaN or an infinity: " + element + "the gradient of an operand of " +
                         std::to_string(values.count) + " elements");
      throw ValueError("detect_anomaly: " + std::string(operation.name) +
                       " gives a NaN or an infinity: " + element + what);
    }
  }
};

}  // namespace burrow
