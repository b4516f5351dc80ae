// Shapes of meshes as text, and what is refused.
#include <burrow/distributed/mesh.hpp>
#include <catch2/catch.hpp>

using namespace burrow;

TEST_CASE("a mesh is written as its axes", "[distributed]") {
  CHECK(parse_mesh("data=2,tensor=3") == MeshShape{2, 1, 3});
  CHECK(parse_mesh("tensor=3,pipeline=4,data=2") == MeshShape{2, 4, 3});
  CHECK(parse_mesh("data=1") == MeshShape{});
  CHECK(MeshShape{2, 1, 3}.text() == "data=2,tensor=3");
  CHECK(MeshShape{}.text() == "data=1");
  for (const MeshShape shape : {MeshShape{2, 3, 4}, MeshShape{1, 2, 1}, MeshShape{}})
    CHECK(parse_mesh(shape.text()) == shape);
}

TEST_CASE("a mesh that is written wrong is refused", "[distributed]") {
  const auto refused = [](const char* text, const char* why) {
    INFO(text);
    CHECK_THROWS_WITH(parse_mesh(text), Catch::Contains(why));
  };
  refused("", "names no axis");
  refused("data=2,", "ends in a comma");
  refused("model=2", "there is no axis 'model'");
  refused("data=2,data=3", "'data' is named twice");
  for (const char* const text : {"data", "data=", "data=0", "data=-1", "data=2x", "data=99999999999"})
    refused(text, "gives no positive number of ranks");
}

TEST_CASE("a mesh of one rank has groups of one", "[distributed]") {
  const auto mesh = Mesh{SelfCommunicator{}, {}};
  CHECK(mesh.data().size() * mesh.pipeline().size() * mesh.tensor().size() == 1);
  CHECK(mesh.place() == "rank 0 of data=1: data 0, stage 0, tensor 0");
  CHECK_THROWS_WITH(
      (Mesh{SelfCommunicator{}, {.data = 2, .tensor = 2}}),
      Catch::StartsWith(
          "mesh data=2,tensor=2 is of 4 ranks, but the world has 1: start 4 processes, or a multiple "
          "of 2 with another extent of data"));
  CHECK_THROWS_WITH(
      (Mesh{SelfCommunicator{}, {.data = 3}}),
      Catch::StartsWith(
          "mesh data=3 is of 3 ranks, but the world has 1: start 3 processes or take the mesh data=1"));
  CHECK_THROWS_WITH((Mesh{SelfCommunicator{}, {.data = 0}}), Catch::Contains("one rank at least"));
}
