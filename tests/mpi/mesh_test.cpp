// The groups of a mesh, against the coordinates of every rank.
#include <burrow/distributed/mesh.hpp>
#include <catch2/catch.hpp>

#include "tests/mpi/world.hpp"

using namespace burrow;
using mpi_test::world;

TEST_CASE("the groups of a mesh have the ranks of their lines", "[mpi]") {
  const auto& w = world();
  const auto sum_of = [&](const auto& group, int first, int step) {
    int sum = 0;
    for (int i = 0; i < group.size(); ++i) sum += first + i * step;
    CHECK(group.all_reduce(w.rank()) == sum);
  };
  for (int tensor = 1; tensor <= w.size(); ++tensor)
    for (int data = 1; data <= w.size(); ++data) {
      if (w.size() % (tensor * data) != 0) continue;
      const Mesh mesh{w, {data, w.size() / tensor / data, tensor}};
      INFO(mesh.place());
      const int t = w.rank() % tensor, d = w.rank() / tensor % data, p = w.rank() / tensor / data;
      CHECK(mesh.tensor().rank() == t);
      CHECK(mesh.data().rank() == d);
      CHECK(mesh.pipeline().rank() == p);
      sum_of(mesh.tensor(), w.rank() - t, 1);
      sum_of(mesh.data(), w.rank() - d * tensor, tensor);
      sum_of(mesh.pipeline(), w.rank() - p * tensor * data, tensor * data);
    }
}

TEST_CASE("a mesh of another number of ranks is refused", "[mpi]") {
  const auto& w = world();
  CHECK_THROWS_WITH((Mesh{w, {.data = w.size() + 1}}), Catch::Contains("processes or take the mesh data="));
}
