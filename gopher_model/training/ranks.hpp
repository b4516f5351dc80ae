// The processes that train one run together, arranged as a mesh. Without a launcher there is one of them.
#pragma once

#include <string>

#include <burrow/distributed/init.hpp>
#include <burrow/distributed/mesh.hpp>

#include "gopher_model/training/run_configuration.hpp"

namespace gopher {

/// All processes that a launcher has started; this one alone where MPI was not found when gopher was built.
using World = burrow::distributed::World;
/// The world, and the groups of it that share a batch, the layers, or single products.
using Ranks = burrow::Mesh<World>;

/// The mesh that the configuration asks for; where it names none, all ranks share the batch. Throws
/// ConfigError where it has another number of ranks than the world, or the batch or the model does not
/// divide.
Ranks arranged(const World& world, const RunConfiguration& configuration);

/// This rank's share of the processors that it may use: those that other ranks of the world may use too are
/// divided among them. All ranks call it.
int fair_threads(const World& world);

/// While it lives, ranks wait without end for one that works alone.
class Unhurried {
 public:
  explicit Unhurried(const World& world) : world_{world}, patience_{world.patience()} {
    world_.set_patience(0);
  }
  Unhurried(const Unhurried&) = delete;
  Unhurried& operator=(const Unhurried&) = delete;
  ~Unhurried() { world_.set_patience(patience_); }

 private:
  const World& world_;
  double patience_;
};

}  // namespace gopher
