// How programs that need a GPU end.
#pragma once

#include <cstdio>

#include <burrow/core/error.hpp>

namespace benchmarks {

/// The exit code of a program: what run() returns, or 2 where there is no GPU, or 1 after another error,
/// which is written as one line.
template <class Run>
int exit_code(const char* program, const Run& run) {
  try {
    return run();
  } catch (const burrow::NoDeviceError& error) {
    std::fprintf(stderr, "%s: %s\n", program, error.what());
    return 2;
  } catch (const burrow::Error& error) {
    std::fprintf(stderr, "%s: %s\n", program, error.what());
    return 1;
  }
}

}  // namespace benchmarks
