// Training sessions on a CUDA device, compiled by nvcc: with what Gopher's models compute and no more, which
// is what nvcc takes its time for.
#include <burrow/autodiff/cuda.cuh>
#include <burrow/ops/linear_cross_entropy/cuda.cuh>
#include <burrow/optim/cuda.cuh>

#include "gopher_model/generation/decoder.cuh"
#include "gopher_model/training/captured_passes.cuh"
#include "gopher_model/training/device_ranks.cuh"
#include "gopher_model/training/session.hpp"
#include "gopher_model/training/whole_model.hpp"

namespace gopher {

void require_cuda() { burrow::cuda::Context::instance(); }

void take_gpu(int number, int ranks) {
#ifndef BURROW_WITH_NCCL
  if (ranks > 1)
    throw ConfigError(
        "several ranks exchange through NCCL on the device cuda, but this gopher was built without it: "
        "install it and build again, or run with --device cpu.");
#endif
  if (ranks > 1) burrow::cuda::use_device(number);
  require_cuda();
}

int run_cuda(const SessionParts& parts) {
  switch (parts.configuration.precision) {
    case Precision::float32:
      return Session<WholeModel<Float32<Cuda>>>{parts}.run();
    case Precision::mixed_bf16:
      return Session<WholeModel<MixedBf16<Cuda>>>{parts}.run();
    case Precision::bf16_stochastic:
    case Precision::bf16_master:
      return Session<WholeModel<Bf16<Cuda>>>{parts}.run();
  }
  return 1;
}

}  // namespace gopher
