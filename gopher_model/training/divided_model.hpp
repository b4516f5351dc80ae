// The layout of runs whose ranks have parts of the model: its stages lie on the ranks of a pipeline, and the
// ranks of a tensor group share the products of a stage.
#pragma once

#include <map>

#include <burrow/distributed/parallel_layers.hpp>

#include "gopher_model/model/stages.hpp"
#include "gopher_model/training/corpus.hpp"
#include "gopher_model/training/training_layout.hpp"

namespace gopher {

/// See TrainingLayout. Runs on the CPU.
template <class Policy>
class DividedModel {
  using Divided = burrow::TensorParallel<Policy, World>;

 public:
  using policy = Policy;
  using model_type = GopherStages<run_time_size, Divided>;

  /// Both outlive it.
  DividedModel(const RunConfiguration& configuration, const Ranks& ranks)
      : configuration_{configuration}, ranks_{ranks} {}

  model_type make() const {
    const World& stages = ranks_.pipeline();
    auto own = model_type::of(detail::prototype<Divided>(configuration_), stages.rank(), stages.size());
    return build(burrow::parted(std::move(own), ranks_.tensor()),
                 key_for(configuration_.seed, Purpose::parameters));
  }

  template <class Optimizer, class Next>
  double accumulate(const model_type& model, Optimizer& optimizer, Index count, const Next& next,
                    float share) {
    if (ranks_.pipeline().size() == 1) {
      const auto loss = [&](Tape& tape, const Batch& batch) {
        const auto h = materialize(model.enter(tape.watch(batch.inputs)));
        return model.loss(model.pass(0, h), batch.targets).sum * share;
      };
      return detail::accumulate_each(model, optimizer, count, next, loss);
    }
    std::vector<Batch> batches;  // stages go back and forth between them
    for (Index m = 0; m < count; ++m) batches.push_back(next());
    const auto batch = [&](Index m) -> const Batch& { return batches[static_cast<std::size_t>(m)]; };
    return optimizer.accumulate_last_with(model, [&](Gradient<model_type>& gradient, auto* listener) {
      return pipeline(count).accumulate(model, gradient, batch, share, listener);
    });
  }

  template <class Batches, class Found>
  void score(const model_type& model, Index count, const Batches& batch, const Found& found) {
    pipeline(1).forward(model, count, batch, found);
  }

  template <class Use>
  void with_whole(const model_type&, const std::filesystem::path& saved, const Use& use) const {
    detail::with_saved<Policy>(configuration_.size, saved, use);
  }

  burrow::Traffic sent() const {
    burrow::Traffic all;
    for (const World* const group :
         {&ranks_.data(), &ranks_.pipeline(), &ranks_.tensor(), &ranks_.model(), &ranks_.world()})
      all += group->traffic();
    for (const auto& [micro_batches, pipeline] : pipelines_) all += pipeline.ends().traffic();
    return all;
  }

 private:
  /// The stages, with a schedule for that many micro-batches.
  const burrow::Pipeline<World>& pipeline(Index micro_batches) {
    auto found = pipelines_.find(micro_batches);
    if (found == pipelines_.end()) {
      const World& stages = ranks_.pipeline();
      found = pipelines_
                  .try_emplace(micro_batches, stages,
                               burrow::one_forward_one_backward(stages.size(), micro_batches))
                  .first;
    }
    return found->second;
  }

  const RunConfiguration& configuration_;
  const Ranks& ranks_;
  std::map<Index, burrow::Pipeline<World>> pipelines_;  // by micro-batches
};

}  // namespace gopher
