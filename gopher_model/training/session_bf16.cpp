#include "gopher_model/training/session.hpp"
#include "gopher_model/training/whole_model.hpp"

namespace gopher {

int run_bf16(const SessionParts& parts) { return Session<WholeModel<Bf16<Cpu>>>{parts}.run(); }

}  // namespace gopher
