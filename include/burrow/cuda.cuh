// Everything for programs that compute on a CUDA device, to be compiled by nvcc: burrow.hpp, and what its
// functions do for device Cuda. See docs/guide/cuda.md.
#pragma once

#include <burrow/burrow.hpp>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/core/captured_step.cuh>
#include <burrow/core/cuda.cuh>
#include <burrow/ops/argmax/cuda.cuh>
#include <burrow/ops/attention/cuda.cuh>
#include <burrow/ops/convolution/cuda.cuh>
#include <burrow/ops/cross_entropy/cuda.cuh>
#include <burrow/ops/dropout/cuda.cuh>
#include <burrow/ops/gather/cuda.cuh>
#include <burrow/ops/layer_norm/cuda.cuh>
#include <burrow/ops/linear_cross_entropy/cuda.cuh>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/mixture/cuda.cuh>
#include <burrow/ops/pooling/cuda.cuh>
#include <burrow/ops/rms_norm/cuda.cuh>
#include <burrow/ops/rotary/cuda.cuh>
#include <burrow/ops/scan/cuda.cuh>
#include <burrow/ops/softmax/cuda.cuh>
#include <burrow/ops/sort/cuda.cuh>
#include <burrow/optim/cuda.cuh>
#include <burrow/tensor/cuda.cuh>
