#include "benchmarks/train_step/gpt2.hpp"

namespace benchmarks {

std::unique_ptr<TrainStep> gpt2_float32(const gopher::ModelSize& size, gopher::Index batch,
                                        burrow::Rematerialization rematerialize) {
  return gpt2_step<burrow::Float32<burrow::Cpu>>(size, batch, rematerialize);
}

}  // namespace benchmarks
