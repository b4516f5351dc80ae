#include "gopher_model/training/session.hpp"

namespace gopher {

int run_float32(const SessionParts& parts) { return Session<Float32<Cpu>>{parts}.run(); }

}  // namespace gopher
