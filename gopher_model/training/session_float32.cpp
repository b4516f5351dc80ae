#include "gopher_model/training/session.hpp"
#include "gopher_model/training/whole_model.hpp"

namespace gopher {

int run_float32(const SessionParts& parts) { return Session<WholeModel<Float32<Cpu>>>{parts}.run(); }

}  // namespace gopher
