#include "gopher_model/training/session.hpp"

namespace gopher {

int run_bf16(const SessionParts& parts) { return Session<Bf16<Cpu>>{parts}.run(); }

}  // namespace gopher
