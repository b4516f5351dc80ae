// Continuing a text on a CUDA device: the decoder, with what draws tokens there.
#pragma once

#include <burrow/ops/attention/cuda.cuh>
#include <burrow/ops/gather/cuda.cuh>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/rms_norm/cuda.cuh>
#include <burrow/tensor/cuda.cuh>

#include "gopher_model/generation/decoder.hpp"
#include "gopher_model/generation/sampling.cuh"

namespace gopher {

// Compiled once for each policy, in generate_cuda.cu.
extern template struct Gopher<run_time_size, Float32<Cuda>>;
extern template struct Gopher<run_time_size, MixedBf16<Cuda>>;
extern template struct Gopher<run_time_size, Bf16<Cuda>>;

}  // namespace gopher
