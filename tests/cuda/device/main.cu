// Runs the CUDA tests where there is a GPU; without one it says so, and ctest counts them as skipped.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <cstdio>

#include <burrow/core/cuda.cuh>

int main(int argc, char** argv) {
  constexpr int skipped = 77;
  if (!burrow::cuda::available()) {
    std::puts("skipped: there is no GPU here, or no driver for it");
    return skipped;
  }
  return Catch::Session().run(argc, argv);
}
