#include "gopher_model/training/divided_model.hpp"
#include "gopher_model/training/session.hpp"

namespace gopher {

int run_divided_bf16(const SessionParts& parts) { return Session<DividedModel<Bf16<Cpu>>>{parts}.run(); }

}  // namespace gopher
