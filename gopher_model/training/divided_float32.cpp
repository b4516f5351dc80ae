#include "gopher_model/training/divided_model.hpp"
#include "gopher_model/training/session.hpp"

namespace gopher {

int run_divided_float32(const SessionParts& parts) {
  return Session<DividedModel<Float32<Cpu>>>{parts}.run();
}

}  // namespace gopher
