#include "gopher_model/training/ranks.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <burrow/core/parallel.hpp>

#include "gopher_model/training/plan.hpp"

namespace gopher {
namespace {

using burrow::MeshShape;

MeshShape asked_shape(const World& world, const std::string& mesh) {
  if (mesh.empty()) return {.data = world.size()};
  const MeshShape shape = burrow::parse_mesh(mesh);
#ifndef BURROW_WITH_MPI
  if (shape.ranks() > 1)
    throw ConfigError(
        "mesh " + shape.text() + " is of " + std::to_string(shape.ranks()) +
        " ranks, but this program was built without MPI: install libopenmpi-dev and build again, "
        "or leave out --mesh.");
#endif
  return shape;
}

// The same number on ranks that may use the same processors.
std::uint64_t processors() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&](std::string_view bytes) {
    for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  };
  mix(host.data());
  mix({reinterpret_cast<const char*>(&set), sizeof set});
  return hash;
}

}  // namespace

Ranks arranged(const World& world, const RunConfiguration& c) {
  const MeshShape shape = asked_shape(world, c.mesh);
  if (c.device == DeviceKind::cuda && shape.ranks() > 1)
    throw ConfigError("mesh " + shape.text() + ": several ranks train on the device cpu, not yet on cuda.");
  Ranks ranks{world, shape};
  require_divisible(c, layout_of(c, shape));
  return ranks;
}

int fair_threads(const World& world) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(world.size()));
  const std::array mine{static_cast<std::int64_t>(processors())};
  world.all_gather<std::int64_t>(mine, std::span{all}, burrow::Partition{world.size(), world.size()});
  const auto sharing = std::count(all.begin(), all.end(), mine[0]);
  return std::max(1, burrow::threads() / static_cast<int>(sharing));
}

}  // namespace gopher
