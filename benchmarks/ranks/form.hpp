// One way in which ranks share the training of a Gopher on random tokens: what benchmarks/ranks.cpp times.
#pragma once

#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/mpi.hpp>
#include <burrow/distributed/parallel_layers.hpp>
#include <burrow/distributed/pipeline.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/tensor/create.hpp>

#include "gopher_model/model/stage_layers.hpp"
#include "gopher_model/model/stages.hpp"

namespace benchmarks {

using namespace burrow;

/// What a step computes, by all ranks together.
struct StepSize {
  gopher::ModelSize size;
  Index sequences;    ///< of a step
  Index micro_batch;  ///< sequences that a rank computes at once
};

/// A micro-batch of random tokens.
struct RandomBatch {
  using Tokens = Tensor<std::int32_t, Shape<dyn, dyn>>;
  Tokens inputs, targets;

  RandomBatch(const StepSize& work, Index number)
      : inputs{random(work, 2 * number)}, targets{random(work, 2 * number + 1)} {}

 private:
  static Tokens random(const StepSize& work, Index number) {
    Tokens tokens{Shape<dyn, dyn>{{work.micro_batch, work.size.context}}};
    const Key key{static_cast<std::uint64_t>(number)};
    std::uint64_t i = 0;
    for (auto& token : tokens.values())
      token = static_cast<std::int32_t>(key.bits(i++) % static_cast<std::uint64_t>(work.size.vocabulary));
    return tokens;
  }
};

/// A model with its optimizer, on the ranks of a mesh.
class Form {
 public:
  Form() = default;
  Form(const Form&) = delete;
  Form& operator=(const Form&) = delete;
  virtual ~Form() = default;

  /// Forward, backward, clipping to norm 1 and AdamW; returns the mean loss.
  virtual double step() = 0;
  /// What this rank has sent since the start, and for how many seconds it has waited for others.
  virtual Traffic sent() const = 0;
  virtual double waited() const = 0;
};

namespace detail {

/// Clipping and the update, of what was accumulated.
template <class Model, class Optimizer>
void update(Model& model, Optimizer& optimizer) {
  const auto reduced = optimizer.reduce();
  optimizer.step(model, reduced, {.gradient_factor = clip_factor(optimizer.norm(reduced), 1.0)});
}

inline constexpr AdamOptions adam{.learning_rate = 1e-4, .weight_decay = 0.1};

/// A whole model, or one whose products are shared by the ranks of the mesh's tensor axis.
template <class Policy, Communicator C>
class WholeForm final : public Form {
  using Model = gopher::RunTimeGopher<Policy>;

 public:
  WholeForm(const StepSize& work, const Mesh<C>& mesh, const ShardingOptions& sharding)
      : work_{work},
        mesh_{mesh},
        model_{build(parted(Model::make(work.size), mesh.tensor()), Key{0})},
        optimizer_{Adam<Model>{model_, adam}, mesh, sharding} {}

  double step() override {
    const Index own = work_.sequences / work_.micro_batch / mesh_.shape().data;
    const float share = 1.0f / static_cast<float>(work_.sequences * work_.size.context);
    double loss = 0;
    for (Index m = 0; m < own; ++m) {
      const RandomBatch batch{work_, mesh_.data().rank() * own + m};
      const auto terms = [&](Tape& tape) {
        return model_.loss(tape.watch(batch.inputs), batch.targets).sum * share;
      };
      loss += static_cast<double>(m + 1 == own ? optimizer_.accumulate_last(model_, terms)
                                               : optimizer_.accumulate(model_, terms));
    }
    loss = mesh_.data().all_reduce(loss);
    update(model_, optimizer_);
    return loss;
  }
  Traffic sent() const override {
    Traffic all = mesh_.data().traffic();
    all += mesh_.model().traffic();
    return all += mesh_.tensor().traffic();
  }
  double waited() const override {
    if constexpr (requires { mesh_.data().waited(); })
      return mesh_.data().waited() + mesh_.model().waited() + mesh_.tensor().waited();
    return 0;
  }

 private:
  StepSize work_;
  Mesh<C> mesh_;
  Model model_;
  Sharded<Adam<Model>, C> optimizer_;
};

/// A model in stages on the ranks of the mesh's pipeline axis, so many on each, divided by their FLOPs as
/// `gopher train` does.
template <class Policy, Communicator C>
class StagedForm final : public Form {
  using Model = gopher::GopherStages<gopher::run_time_size, Policy>;

 public:
  StagedForm(const StepSize& work, const Mesh<C>& mesh, int chunks, const ShardingOptions& sharding)
      : work_{work},
        mesh_{mesh},
        model_{build(Model::of(gopher::RunTimeGopher<Policy>::make(work.size), mesh.pipeline().rank(),
                               mesh.pipeline().size(),
                               gopher::stage_layers(work.size, mesh.pipeline().size(), chunks, {})),
                     Key{0})},
        optimizer_{Adam<Model>{model_, adam}, mesh, sharding},
        pipeline_{mesh.pipeline(),
                  pipeline_schedule(mesh.pipeline().size(), chunks, work.sequences / work.micro_batch)} {}

  double step() override {
    const float share = 1.0f / static_cast<float>(work_.sequences * work_.size.context);
    const double loss = optimizer_.accumulate_last_with(model_, [&](auto& gradient, auto* listener) {
      return pipeline_.accumulate(
          model_, gradient,
          [&](Index m) {
            return RandomBatch{work_, m};
          },
          share, listener);
    });
    update(model_, optimizer_);
    return loss;
  }
  Traffic sent() const override {
    Traffic all = pipeline_.traffic();
    return all += mesh_.model().traffic();
  }
  double waited() const override {
    return mesh_.pipeline().waited() + pipeline_.ends().waited() + mesh_.model().waited();
  }

 private:
  StepSize work_;
  Mesh<C> mesh_;
  Model model_;
  Sharded<Adam<Model>, C> optimizer_;
  Pipeline<C> pipeline_;
};

}  // namespace detail
}  // namespace benchmarks
