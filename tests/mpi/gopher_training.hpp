// How the small Gopher is trained on a mesh, in every way that there is, for tests of several processes and
// for the table of scripts/equivalence.
#pragma once

#include <burrow/autodiff/reduce.hpp>
#include <burrow/distributed/data_parallel.hpp>
#include <burrow/distributed/pipeline.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/optim/adam.hpp>

#include "gopher_model/model/stages.hpp"
#include "tests/mpi/small_gopher.hpp"

namespace small_gopher {

/// A micro-batch of a rank.
struct Batch {
  Tokens inputs, targets;
};

/// How a run goes, whatever its mesh.
struct Settings {
  int stage = 1;  ///< of ZeRO
  Index bucket_elements = 1000;
  Index micro_batches = 2;  ///< of a step, on each data rank
  int chunks = 1;           ///< stages that a rank of a pipeline has
  bool rematerialize = false;
  double clip = 0.7;  ///< the gradient's largest norm; 0: any
  Index steps = 20;
  Index batch = small_gopher::batch;  ///< sequences of a step
  gopher::ModelSize size = small_gopher::size;
};

/// What a rank has sent in one step, by the groups that it was sent to.
struct Sent {
  Traffic data, tensor, pipeline, model;
};

/// What a run finds, the same on all ranks but for `sent`.
struct Result {
  std::vector<double> losses, norms;  ///< of the steps
  double tied_difference = 0;         ///< between the copies of the embedding
  Sent sent;                          ///< by this rank, in the last step
};

template <class Policy, class C>
auto make_whole(const C& tensor_ranks, const Settings& settings = {}) {
  auto prototype = gopher::RunTimeGopher<Policy>::make(settings.size);
  if (settings.rematerialize) prototype.blocks.rematerialize = Rematerialization::block();
  return build(parted(std::move(prototype), tensor_ranks), Key{1});
}

template <class Policy, class C>
auto make_stages(const Mesh<C>& mesh, const Settings& settings = {}) {
  auto whole = gopher::RunTimeGopher<Policy>::make(settings.size);
  if (settings.rematerialize) whole.blocks.rematerialize = Rematerialization::every(2);
  const auto& ranks = mesh.pipeline();
  return build(parted(gopher::GopherStages<gopher::run_time_size, Policy>::of(std::move(whole), ranks.rank(),
                                                                              ranks.size(), settings.chunks),
                      mesh.tensor()),
               Key{1});
}

/// The steps of a run. accumulate(optimizer, micro, share) adds the gradient of the micro-batches micro(0),
/// micro(1), ... and returns this rank's part of the loss.
template <class Model, class C, class Accumulate>
Result train(Model& model, const Mesh<C>& mesh, const Settings& settings, const Accumulate& accumulate) {
  auto optimizer =
      Sharded{Adam{model, {.learning_rate = 3e-3}}, mesh, {settings.stage, settings.bucket_elements}};
  const Partition rows{settings.batch, mesh.data().size()};
  const Index first = rows.begin(mesh.data().rank()), own = rows.size(mesh.data().rank());
  Result result;
  for (Index step = 0; step < settings.steps; ++step) {
    const auto micro = [&](Index m) {
      const Index from = first + own * m / settings.micro_batches;
      const Index to = first + own * (m + 1) / settings.micro_batches;
      return Batch{tokens(step, from, to, false), tokens(step, from, to, true)};
    };
    Index counted = 0;
    for (const auto target : tokens(step, 0, settings.batch, true).values()) counted += target >= 0;
    const Sent before{mesh.data().traffic(), mesh.tensor().traffic(), {}, mesh.model().traffic()};
    const double loss = accumulate(optimizer, micro, 1.0f / static_cast<float>(counted));
    result.losses.push_back(mesh.data().all_reduce(loss));
    const auto reduced = optimizer.reduce();
    const double norm = optimizer.norm(reduced);
    const double factor = settings.clip > 0 ? clip_factor(norm, settings.clip) : 1.0;
    optimizer.step(model, reduced, {.gradient_factor = factor});
    result.norms.push_back(norm);
    result.sent.data = mesh.data().traffic() - before.data;
    result.sent.tensor = mesh.tensor().traffic() - before.tensor;
    result.sent.model = mesh.model().traffic() - before.model;
  }
  return result;
}

/// Trains a model that is not in stages.
template <class Policy, class C>
Result train_whole(const Mesh<C>& mesh, const Settings& settings) {
  auto model = make_whole<Policy>(mesh.tensor(), settings);
  return train(model, mesh, settings, [&](auto& optimizer, const auto& micro, float share) {
    double sum = 0;
    for (Index m = 0; m < settings.micro_batches; ++m) {
      const Batch rows = micro(m);
      const auto loss = [&](Tape& t) { return model.loss(t.watch(rows.inputs), rows.targets).sum * share; };
      sum += static_cast<double>(m + 1 == settings.micro_batches ? optimizer.accumulate_last(model, loss)
                                                                 : optimizer.accumulate(model, loss));
    }
    return sum;
  });
}

inline PipelineSchedule schedule_for(int ranks, const Settings& settings) {
  return pipeline_schedule(ranks, settings.chunks, settings.micro_batches);
}

/// Trains a model in stages, of which one rank may have all.
template <class Policy, class C>
Result train_stages(const Mesh<C>& mesh, const Settings& settings) {
  auto model = make_stages<Policy>(mesh, settings);
  const Pipeline pipeline{mesh.pipeline(), schedule_for(mesh.pipeline().size(), settings)};
  Traffic sent;
  Result result = train(model, mesh, settings, [&](auto& optimizer, const auto& micro, float share) {
    const Traffic before = pipeline.traffic();
    const double loss = optimizer.accumulate_last_with(model, [&](auto& gradient, auto* listener) {
      return pipeline.accumulate(model, gradient, micro, share, listener);
    });
    sent = pipeline.traffic() - before;
    return loss;
  });
  result.sent.pipeline = sent;
  double sum = 0;
  if (model.embedding)
    for (const float x : model.embedding->table.values()) sum += static_cast<double>(x) * x;
  const double none = 1e300;
  result.tied_difference = mesh.pipeline().all_reduce(model.embedding ? sum : -none, Reduction::max) -
                           mesh.pipeline().all_reduce(model.embedding ? sum : none, Reduction::min);
  return result;
}

/// Trains on a mesh, in stages and with shared products where it has them.
inline Result train(const Mesh<distributed::World>& mesh, const Settings& settings) {
  const bool staged = mesh.pipeline().size() > 1, shared = mesh.tensor().size() > 1;
  if (staged) return shared ? train_stages<Divided>(mesh, settings) : train_stages<Whole>(mesh, settings);
  return shared ? train_whole<Divided>(mesh, settings) : train_whole<Whole>(mesh, settings);
}

/// What one rank finds, without a launcher's.
inline Result train_alone(Settings settings) {
  settings.stage = 0;
  return train_whole<Whole>(Mesh{SelfCommunicator{}, {}}, settings);
}

}  // namespace small_gopher
