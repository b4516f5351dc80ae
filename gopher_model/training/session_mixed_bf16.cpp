#include "gopher_model/training/session.hpp"

namespace gopher {

int run_mixed_bf16(const SessionParts& parts) { return Session<MixedBf16<Cpu>>{parts}.run(); }

}  // namespace gopher
