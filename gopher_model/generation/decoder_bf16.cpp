#include "gopher_model/generation/decoder.hpp"

namespace gopher {

template struct Gopher<run_time_size, Bf16<Cpu>>;

}  // namespace gopher
