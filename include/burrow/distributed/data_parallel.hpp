// What ranks that have parts of one batch have in common: losses that are sums over all of them, and the same
// parameters at the start.
#pragma once

#include <burrow/distributed/communicator.hpp>
#include <burrow/nn/module.hpp>

namespace burrow {

/// A loss as a sum and the number of its terms; the mean is taken once, when all terms are in.
struct LossSum {
  double sum = 0;
  Index count = 0;  ///< of terms

  double mean() const { return sum / static_cast<double>(count); }
  LossSum& operator+=(const LossSum& other) {
    sum += other.sum;
    count += other.count;
    return *this;
  }
};

/// The sum over all ranks.
template <Communicator C>
LossSum all_reduce(const C& ranks, const LossSum& mine, Location where = Location::here()) {
  std::array<double, 2> both{mine.sum, static_cast<double>(mine.count)};
  ranks.all_reduce(std::span<double>{both}, Reduction::sum, where);
  return {both[0], static_cast<Index>(both[1])};
}

/// Every rank's parameters become those of rank `root`: for a model that only one rank has read. Models that
/// are built with the same key are equal anyway.
template <Module Model, Communicator C>
void broadcast_parameters(Model& model, const C& ranks, int root = 0, Location where = Location::here()) {
  ranks.broadcast(parameters(model, where).values(), root, where);
}

}  // namespace burrow
