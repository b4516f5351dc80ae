#include "gopher_model/training/divided_model.hpp"
#include "gopher_model/training/session.hpp"

namespace gopher {

int run_divided_mixed_bf16(const SessionParts& parts) {
  return Session<DividedModel<MixedBf16<Cpu>>>{parts}.run();
}

}  // namespace gopher
