// What the steps of a run take: messages, and the memory of what lives from step to step.
#pragma once

#include <map>
#include <string>

#include <burrow/distributed/communicator.hpp>

namespace gopher {

using burrow::Index;

/// The costs of training, as `gopher plan` predicts them and a run's metrics record them.
struct RunCosts {
  burrow::Traffic sent;                          ///< by all ranks together, in all steps
  Index steps = 0;                               ///< that these were sent in
  std::map<std::string, Index> memory{};         ///< bytes by category, on the rank that has most of it
  std::map<std::string, Index> memory_of_all{};  ///< the same on all ranks together
  Index largest_peak = 0;                        ///< bytes in use at once on the rank that used most
  /// Bytes of values that the last step's passes had at once beside those before it, on the rank with most,
  /// without scratch memory: what they keep for the backward pass, and gradients that are not kept.
  Index passes = 0;
  double checkpoint_seconds = 0;  ///< for which rank 0's steps stood still for checkpoints
  Index checkpoint_waits = 0;     ///< checkpoints that came due before the one before was on disk, on rank 0
};

/// The bytes that a rank keeps of parameters, gradient and optimizer's state, by category: "parameters",
/// "gradients", and for the state the names of its parts.
template <class Model, class Optimizer>
std::map<std::string, Index> kept_bytes(const Model& model, Optimizer& optimizer) {
  std::map<std::string, Index> bytes{{"gradients", optimizer.gradient_bytes()}};
  const auto values = parameters(model).values();
  optimizer.for_each_held(
      [&](Index, Index count) { bytes["parameters"] += count * Index{sizeof(values[0])}; });
  for (const auto& part : optimizer.state().values)
    bytes[std::string(part.name)] += static_cast<Index>(part.values.size_bytes());
  return bytes;
}

/// Adds up what all ranks have sent and keep, and finds the most of it and the largest peak. All ranks keep
/// the same categories.
template <burrow::Communicator C>
void gather(RunCosts& costs, const C& world) {
  for (auto& count : costs.sent.counts)
    for (Index* const number : {&count.calls, &count.messages, &count.bytes})
      *number = world.all_reduce(*number);
  costs.memory_of_all = costs.memory;
  for (auto& [category, bytes] : costs.memory_of_all) bytes = world.all_reduce(bytes);
  for (auto& [category, bytes] : costs.memory) bytes = world.all_reduce(bytes, burrow::Reduction::max);
  for (Index* const most : {&costs.largest_peak, &costs.passes})
    *most = world.all_reduce(*most, burrow::Reduction::max);
}

}  // namespace gopher
