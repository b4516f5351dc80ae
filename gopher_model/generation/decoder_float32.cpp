#include "gopher_model/generation/decoder.hpp"

namespace gopher {

template struct Gopher<run_time_size, Float32<Cpu>>;

}  // namespace gopher
