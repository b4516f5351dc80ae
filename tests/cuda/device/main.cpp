// Runs the CUDA tests where there is a GPU; without one it says so, and ctest counts them as skipped. The
// host's compiler compiles this, in a third of the time that nvcc takes for the test library.
#define CATCH_CONFIG_RUNNER
#include <cuda_runtime_api.h>

#include <catch2/catch.hpp>
#include <cstdio>

int main(int argc, char** argv) {
  constexpr int skipped = 77;
  int gpus = 0;
  if (cudaGetDeviceCount(&gpus) != cudaSuccess || gpus == 0) {
    std::puts("skipped: there is no GPU here, or no driver for it");
    return skipped;
  }
  return Catch::Session().run(argc, argv);
}
