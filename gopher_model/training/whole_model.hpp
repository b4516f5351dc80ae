// The layout of runs whose ranks each have the whole model, and at most divide the batch and what an
// optimizer remembers.
#pragma once

#include <burrow/nn/clone.hpp>

#include "gopher_model/training/corpus.hpp"
#include "gopher_model/training/training_layout.hpp"

namespace gopher {

/// See TrainingLayout.
template <class Policy>
class WholeModel {
  using D = typename Policy::device;

 public:
  using policy = Policy;
  using model_type = RunTimeGopher<Policy>;

  /// Both outlive it.
  WholeModel(const RunConfiguration& configuration, const Ranks& ranks)
      : configuration_{configuration}, ranks_{ranks} {}

  model_type make(const burrow::ShardingOptions& sharding) const {
    return detail::with_first_values(detail::prototype<Policy>(configuration_), configuration_, ranks_,
                                     sharding);
  }

  template <class Optimizer, class Next>
  double accumulate(const model_type& model, Optimizer& optimizer, Index count, const Next& next,
                    float share) const {
    const auto loss = [&](Tape& tape, const Batch& batch) {
      return model.loss(tape.watch(burrow::to<D>(batch.inputs)), burrow::to<D>(batch.targets)).sum * share;
    };
    return detail::accumulate_each(model, optimizer, count, next, loss);
  }

  template <class Batches, class Found>
  void score(const model_type& model, Index count, const Batches& batch, const Found& found) const {
    for (Index m = 0; m < count; ++m) {
      const Batch one = batch(m);
      found(one, model.loss(burrow::to<D>(one.inputs), burrow::to<D>(one.targets)));
    }
  }

  template <class Use>
  void with_whole(const model_type& model, const std::filesystem::path& saved, const Use& use) const {
    if (configuration_.zero == 3 && ranks_.data().size() > 1)
      detail::with_saved<Policy>(configuration_.size, saved, use);
    else
      use(model);
  }

  burrow::Traffic sent() const {
    burrow::Traffic all = ranks_.data().traffic();
    return all += ranks_.world().traffic();
  }

 private:
  const RunConfiguration& configuration_;
  const Ranks& ranks_;
};

}  // namespace gopher
