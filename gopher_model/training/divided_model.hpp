// The layout of runs whose ranks have parts of the model: its stages lie on the ranks of a pipeline, and the
// ranks of a tensor group share the products of a stage.
#pragma once

#include <map>

#include <burrow/distributed/parallel_layers.hpp>

#include "gopher_model/model/stage_layers.hpp"
#include "gopher_model/model/stages.hpp"
#include "gopher_model/training/corpus.hpp"
#include "gopher_model/training/plan.hpp"
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
      : configuration_{configuration}, ranks_{ranks}, division_{layout_of(configuration, ranks.shape())} {}

  model_type make(const burrow::ShardingOptions& sharding) const {
    const World& stages = ranks_.pipeline();
    const auto& c = configuration_;
    auto own =
        model_type::of(detail::prototype<Divided>(c), stages.rank(), stages.size(),
                       stage_layers(c.size, stages.size(), division_.own_stages(), division_.rematerialize));
    const auto rows = c.sequence_parallel ? burrow::SequenceRows::divided : burrow::SequenceRows::whole;
    const auto gathered = division_.gathers_rows_again() ? burrow::Gathered::again : burrow::Gathered::kept;
    return detail::with_first_values(burrow::parted(std::move(own), ranks_.tensor(), rows, gathered), c,
                                     ranks_, sharding);
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
    const Index round = division_.own_stages() > 1 ? ranks_.pipeline().size() : 1;
    pipeline(round).forward(model, count, batch, found);
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
      found =
          pipelines_
              .try_emplace(micro_batches, stages,
                           burrow::pipeline_schedule(stages.size(), division_.own_stages(), micro_batches))
              .first;
    }
    return found->second;
  }

  const RunConfiguration& configuration_;
  const Ranks& ranks_;
  Layout division_;
  std::map<Index, burrow::Pipeline<World>> pipelines_;  // by micro-batches
};

}  // namespace gopher
