// Generation on a CUDA device, compiled by nvcc: the forward pass of Gopher's models with a cache, and no
// more.
#include "gopher_model/generation/decoder.cuh"
#include "gopher_model/generation/text_generation.hpp"

namespace gopher {

template struct Gopher<run_time_size, Float32<Cuda>>;
template struct Gopher<run_time_size, MixedBf16<Cuda>>;
template struct Gopher<run_time_size, Bf16<Cuda>>;

int generate_on_cuda(const GenerateOptions& options, const SavedModel& saved) {
  return generate_on<Cuda>(options, saved);
}

}  // namespace gopher
