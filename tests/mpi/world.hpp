// The world of a test program: the processes that mpirun has started.
#pragma once

#include <burrow/core/parallel.hpp>
#include <burrow/distributed/init.hpp>

namespace mpi_test {

inline const burrow::distributed::World& world() {
  static const burrow::distributed::World all = [] {
    burrow::set_threads(1);
    static int argc = 0;
    static char** argv = nullptr;
    return burrow::distributed::init(argc, argv);
  }();
  return all;
}

}  // namespace mpi_test
