#include "benchmarks/train_step/gopher.hpp"

namespace benchmarks {

std::unique_ptr<TrainStep> gopher_float32(const gopher::ModelSize& size, gopher::Index batch,
                                          burrow::Rematerialization rematerialize) {
  return gopher_step<burrow::Float32<burrow::Cpu>>(size, batch, rematerialize);
}

}  // namespace benchmarks
