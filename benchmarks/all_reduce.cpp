// The time of an all-reduce of float among the processes that mpirun has started, by burrow and by MPI's own:
// mpirun -n 2 build/bin/benchmarks/all_reduce
#include <burrow/distributed/mpi.hpp>

using namespace burrow;

namespace {

/// The least time of one call in several runs, in microseconds.
template <class Call>
double microseconds(const MpiCommunicator& world, int calls, const Call& call) {
  double least = 1e30;
  for (int run = 0; run < 6; ++run) {
    world.barrier();
    const double start = MPI_Wtime();
    for (int i = 0; i < calls; ++i) call();
    least = std::min(least, (MPI_Wtime() - start) / calls);
  }
  return 1e6 * world.all_reduce(least, Reduction::max);
}

}  // namespace

int main(int argc, char** argv) {
  const auto world = MpiCommunicator::world(argc, argv);
  if (world.rank() == 0) std::printf("%10s %14s %14s\n", "elements", "burrow, us", "MPI, us");
  for (const int count : {1, 256, 16'384, 262'144, 4'194'304, 25'000'000}) {
    std::vector<float> values(static_cast<std::size_t>(count), 0.0f);
    const int calls = count < 100'000 ? 500 : count < 5'000'000 ? 20 : 5;
    const double own = microseconds(world, calls, [&] { world.all_reduce(std::span{values}); });
    const double mpi = microseconds(world, calls, [&] {
      MPI_Allreduce(MPI_IN_PLACE, values.data(), count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    });
    if (world.rank() == 0) std::printf("%10d %14.1f %14.1f\n", count, own, mpi);
  }
}
