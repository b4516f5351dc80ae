#include "benchmarks/train_step/gopher.hpp"

namespace benchmarks {

std::unique_ptr<TrainStep> gopher_mixed_bf16(const gopher::ModelSize& size, gopher::Index batch,
                                             burrow::Rematerialization rematerialize) {
  return gopher_step<burrow::MixedBf16<burrow::Cpu>>(size, batch, rematerialize);
}

}  // namespace benchmarks
