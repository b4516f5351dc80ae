// What a machine can do at most, for shares of it. debug/measured_peaks.hpp measures it.
#pragma once

#include <string_view>

namespace burrow {

/// What all threads together reach; 0: not measured.
struct Peaks {
  double float_flops = 0;       ///< a second, of the fastest large product of float matrices
  double bf16_flops = 0;        ///< likewise, of bf16 matrices
  double read_bandwidth = 0;    ///< bytes a second, of a sum of numbers in memory
  double stream_bandwidth = 0;  ///< bytes a second, of a = b + s c in memory (McCalpin's triad): three arrays
  double cpu_share = 1;         ///< of its threads' time that the float product got; low on a busy machine

  /// The peak of products of that type, or 0.
  double flops(std::string_view dtype) const {
    return dtype == "float" ? float_flops : dtype == "bf16" ? bf16_flops : 0;
  }
};

}  // namespace burrow
