// What differs between runs by how a model lies on the ranks: how it is made, how a step's gradient is
// computed, and how held-out text is scored.
#pragma once

#include <concepts>

#include <burrow/distributed/build_sharded.hpp>
#include <burrow/optim/adam.hpp>

#include "gopher_model/data/batch_feed.hpp"
#include "gopher_model/model/gopher.hpp"
#include "gopher_model/training/checkpoint.hpp"
#include "gopher_model/training/corpus.hpp"
#include "gopher_model/training/ranks.hpp"

namespace gopher {

/// A layout: make(sharding) gives what this rank has of the model, with its first values. accumulate(model,
/// optimizer, n, next, share) takes n micro-batches from next() and lets the optimizer keep the gradient of
/// their losses times `share`, whose sum it returns. score(model, n, batch, found) is that of
/// `held_out_loss`. `sent()` counts what this rank has sent. All ranks call these together; one alone may
/// call with_whole(model, saved, use), which calls use(whole) with the whole model, if need be that of the
/// checkpoint `saved`.
template <class L>
concept TrainingLayout = requires(L& layout, const typename L::model_type& model, Batch (&next)(),
                                  burrow::Sharded<Adam<typename L::model_type>, World>& optimizer) {
  typename L::policy;
  { layout.make(burrow::ShardingOptions{}) } -> std::same_as<typename L::model_type>;
  { layout.accumulate(model, optimizer, Index{}, next, 1.0f) } -> std::same_as<double>;
  { layout.sent() } -> std::same_as<burrow::Traffic>;
};

namespace detail {

/// The whole model of a run, without elements yet.
template <class Policy>
RunTimeGopher<Policy> prototype(const RunConfiguration& configuration) {
  auto model = RunTimeGopher<Policy>::make(configuration.size);
  model.blocks.rematerialize = burrow::parse_rematerialization(configuration.rematerialize);
  return model;
}

/// A model of this run, or a part of it, with its first values, as the run's optimizers divide it among data
/// ranks.
template <class Model>
Model with_first_values(Model model, const RunConfiguration& configuration, const Ranks& ranks,
                        const burrow::ShardingOptions& sharding) {
  return burrow::build_sharded<Adam<Model>>(
      std::move(model), key_for(configuration.seed, Purpose::parameters), ranks.data(), sharding);
}

/// Calls use(model) with the whole model that a checkpoint has.
template <class Policy, class Use>
void with_saved(const ModelSize& size, const std::filesystem::path& saved, const Use& use) {
  auto model = build(RunTimeGopher<Policy>::make(size), burrow::Key{});
  read_parameters(open_checkpoint(saved), model);
  use(model);
}

/// A layout's `accumulate` where each rank makes whole passes: the sum of loss(tape, batch).
template <class Model, class Optimizer, class Next, class Loss>
double accumulate_each(const Model& model, Optimizer& optimizer, Index count, const Next& next,
                       const Loss& loss) {
  double sum = 0;
  for (Index left = count; left > 0; --left) {
    const Batch batch = next();
    const auto terms = [&](Tape& tape) { return loss(tape, batch); };
    sum += static_cast<double>(left == 1 ? optimizer.accumulate_last(model, terms)
                                         : optimizer.accumulate(model, terms));
  }
  return sum;
}

}  // namespace detail
}  // namespace gopher
