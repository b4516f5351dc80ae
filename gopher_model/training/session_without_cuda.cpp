// What stands for the sessions on a GPU in a program that is built without them.
#include "gopher_model/training/session_parts.hpp"

namespace gopher {

void require_cuda() {
  throw burrow::NoDeviceError(
      "this gopher was built without CUDA: configure it with -DBURROW_GOPHER_CUDA=ON where nvcc is, or run "
      "with --device cpu");
}

void take_gpu(int, int) { require_cuda(); }

int run_cuda(const SessionParts&) {
  require_cuda();
  return 2;
}

}  // namespace gopher
