// The groups of a mesh, against the coordinates of every rank.
#include <algorithm>
#include <burrow/distributed/mesh.hpp>
#include <catch2/catch.hpp>

#include "tests/mpi/world.hpp"

using namespace burrow;
using mpi_test::world;

TEST_CASE("the groups of a mesh have the ranks of their lines", "[mpi]") {
  const auto& w = world();
  const int place = detail::place_by_machine(w, detail::machine_number());
  const auto sum_of = [&](const auto& group, int first, int step) {
    int sum = 0;
    for (int i = 0; i < group.size(); ++i) sum += first + i * step;
    CHECK(group.all_reduce(place) == sum);
  };
  for (int tensor = 1; tensor <= w.size(); ++tensor)
    for (int data = 1; data <= w.size(); ++data) {
      if (w.size() % (tensor * data) != 0) continue;
      const Mesh mesh{w, {data, w.size() / tensor / data, tensor}};
      INFO(mesh.place());
      const int t = place % tensor, d = place / tensor % data, p = place / tensor / data;
      CHECK(mesh.tensor().rank() == t);
      CHECK(mesh.data().rank() == d);
      CHECK(mesh.pipeline().rank() == p);
      sum_of(mesh.tensor(), place - t, 1);
      sum_of(mesh.data(), place - d * tensor, tensor);
      sum_of(mesh.pipeline(), place - p * tensor * data, tensor * data);
    }
}

TEST_CASE("ranks of a machine stand beside each other, however they are numbered", "[mpi]") {
  const auto& w = world();
  const int machine_here = detail::machine_number();
  std::vector<int> machines_of(static_cast<std::size_t>(w.size()));
  w.all_gather<int>({&machine_here, 1}, std::span{machines_of}, Partition{w.size(), w.size()});
  CHECK(number_on_machine(w) ==
        std::count(machines_of.begin(), machines_of.begin() + w.rank(), machine_here));
  const int machines = 2, machine = w.rank() % machines;  // as mpirun --map-by node numbers them
  const int on_first = (w.size() + 1) / machines;
  CHECK(detail::place_by_machine(w, 7 - machine) == machine * on_first + w.rank() / machines);
}

TEST_CASE("a mesh of another number of ranks is refused", "[mpi]") {
  const auto& w = world();
  CHECK_THROWS_WITH((Mesh{w, {.data = w.size() + 1}}), Catch::Contains("processes or take the mesh data="));
}
