// The start of a program that may run on one process or on many: distributed::init.
#pragma once

#include <cstdlib>
#include <string>

#include <burrow/distributed/communicator.hpp>

#ifdef BURROW_WITH_MPI
#include <burrow/distributed/mpi.hpp>
#endif

namespace burrow::distributed {

#ifdef BURROW_WITH_MPI
/// What `init` gives: with burrow::mpi processes that a launcher has started, without it one process.
using World = MpiCommunicator;
#else
/// What `init` gives: with burrow::mpi processes that a launcher has started, without it one process.
using World = SelfCommunicator;
#endif

namespace detail {

/// The number of processes that a launcher says it has started; 0 without one.
inline int launched_ranks() {
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    if (const char* const text = std::getenv(name)) return std::atoi(text);
  return std::getenv("PMIX_RANK") != nullptr ? 1 : 0;
}

/// Whether a launcher offers what the processes of MPI meet by; without it MPI would end each of them.
inline bool can_meet() {
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"})
    if (std::getenv(name) != nullptr) return true;
  return false;
}

}  // namespace detail

/// The world: all processes that mpirun or srun has started, or this process alone where none has. To be
/// called once, at the start of main, and the result kept to its end: a process that leaves main by an
/// exception, or exits before, ends the others. Throws Error where a launcher has started several processes
/// that cannot meet.
inline World init([[maybe_unused]] int& argc, [[maybe_unused]] char**& argv) {
  const int launched = detail::launched_ranks();
  if (launched == 0) return {};
  World world;
#ifdef BURROW_WITH_MPI
  if (detail::can_meet()) world = MpiCommunicator::world(argc, argv);
#endif
  if (launched > world.size())
    throw Error("distributed: a launcher has started " + std::to_string(launched) + " processes, but " +
#ifdef BURROW_WITH_MPI
                "each of them sees " + std::to_string(world.size()) +
                "; start them with MPI's mpirun, or with srun --mpi=pmix");
#else
                "this program was built without burrow::mpi");
#endif
  return world;
}

}  // namespace burrow::distributed
