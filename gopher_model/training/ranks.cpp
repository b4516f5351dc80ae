#include "gopher_model/training/ranks.hpp"

#include <sched.h>

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
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  auto hash = static_cast<std::uint64_t>(burrow::detail::machine_number());
  for (const char c : std::string_view{reinterpret_cast<const char*>(&set), sizeof set})
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

Ranks arranged(const World& world, const RunConfiguration& c) {
  const MeshShape shape = asked_shape(world, c.mesh);
  if (c.device == DeviceKind::cuda && shape.pipeline * shape.tensor > 1)
    throw ConfigError("mesh " + shape.text() +
                      ": on the device cuda ranks divide the batch, not the model: take --mesh data=" +
                      std::to_string(shape.ranks()) + ", or --device cpu.");
  if (c.device == DeviceKind::cuda && shape.data > 1 && c.zero == 3)
    throw ConfigError(
        "zero = 3: on the device cuda ranks divide gradients and the optimizer's state at most: "
        "take --zero 0, 1 or 2, or --device cpu.");
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
