// What stands for generation on a GPU in a program that is built without it.
#include "gopher_model/generation/text_generation.hpp"
#include "gopher_model/training/device.hpp"

namespace gopher {

int generate_on_cuda(const GenerateOptions&, const SavedModel&) {
  require_cuda();
  return 2;
}

}  // namespace gopher
