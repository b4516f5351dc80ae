#include "gopher_model/training/session.hpp"
#include "gopher_model/training/whole_model.hpp"

namespace gopher {

int run_mixed_bf16(const SessionParts& parts) { return Session<WholeModel<MixedBf16<Cpu>>>{parts}.run(); }

}  // namespace gopher
