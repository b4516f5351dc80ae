// Devices as types, and policies: the dtypes of parameters, computation and accumulation together with the
// device.
#pragma once

#include <burrow/core/dtype.hpp>

namespace burrow {

namespace detail {
/// The base of devices. Through it an unqualified call whose first argument is a device finds the overloads
/// of namespace detail, those of headers that are included later as well.
struct Device {};
}  // namespace detail

/// The host processor, all threads of it.
struct Cpu : detail::Device {
  static constexpr const char* name = "cpu";
};

/// A CUDA device: operations are compiled by nvcc, from burrow/cuda.cuh.
struct Cuda : detail::Device {
  static constexpr const char* name = "cuda";
};

namespace detail {
/// True where the host reads and writes the device's memory as its own.
template <class D>
inline constexpr bool on_host = std::same_as<D, Cpu>;
}  // namespace detail

/// What a module computes with: `parameter` is stored, `compute` is the type of activations, `accumulate`
/// that of sums.
template <class ParameterType, class ComputeType, class D>
struct Policy {
  using parameter = ParameterType;
  using compute = ComputeType;
  using accumulate = compute_type<ComputeType>;
  using device = D;
};

/// float throughout.
template <class D = Cpu>
using Float32 = Policy<float, float, D>;
/// double throughout.
template <class D = Cpu>
using Float64 = Policy<double, double, D>;
/// fp32 parameters with bf16 activations, as Gopher's models below 7.1B.
template <class D = Cpu>
using MixedBf16 = Policy<float, bf16, D>;
/// bf16 parameters and activations, as Gopher's 7.1B and 280B.
template <class D = Cpu>
using Bf16 = Policy<bf16, bf16, D>;
/// fp32 parameters with activations in IEEE half precision, whose gradients need loss scaling.
template <class D = Cpu>
using MixedHalf = Policy<float, half, D>;

}  // namespace burrow
