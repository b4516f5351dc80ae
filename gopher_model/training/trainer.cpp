#include "gopher_model/training/trainer.hpp"

#include <chrono>
#include <iostream>
#include <thread>

#include <burrow/core/parallel.hpp>

#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/quantities.hpp"
#include "gopher_model/training/machine.hpp"
#include "gopher_model/training/session_parts.hpp"

namespace gopher {
namespace {

std::string counted(Index count, const std::string& noun) {
  return grouped(count) + " " + noun + (count == 1 ? "" : "s");
}

// The configuration with the tokenizer's vocabulary, which may differ from the one asked for.
RunConfiguration effective(const RunConfiguration& asked, const Tokenizer& tokenizer,
                           ProgressLine& progress) {
  RunConfiguration configuration = asked;
  configuration.size.vocabulary = tokenizer.vocabulary();
  if (configuration.size.vocabulary != asked.size.vocabulary) {
    const bool given = asked.resume || !asked.tokenizer.empty();
    progress.message("vocabulary of " + grouped(tokenizer.vocabulary()) + " tokens in place of " +
                     grouped(asked.size.vocabulary) + ", since " +
                     (given ? "that is the tokenizer's" : "the text is too small to learn more"));
  }
  return configuration;
}

std::string description(const RunConfiguration& c, const Corpus& corpus, const MachineReport& machine) {
  const ModelSize& s = c.size;
  const auto tokens = [](const TokenDataset& dataset) { return static_cast<Index>(dataset.size()); };
  return "model: " + counted(s.layers, "layer") + ", width " + std::to_string(s.width) + ", " +
         counted(s.heads, "head") + " of " + std::to_string(s.head_width) + ", vocabulary " +
         grouped(s.vocabulary) + ", context " + grouped(s.context) + ": " +
         counted(parameters(s).full(), "parameter") +
         "\ntext: " + counted(tokens(corpus.training.dataset()), "training token") + " in " +
         counted(corpus.training_documents, "document") + ", " +
         counted(tokens(corpus.held_out.dataset()), "held-out token") + " in " +
         counted(corpus.held_out_documents, "document") + "\nmachine: " + description(machine, c.precision);
}

int run_session(const SessionParts& parts) {
  if (parts.configuration.device == DeviceKind::cuda) return run_cuda(parts);
  const bool divided = parts.ranks.shape().tensor > 1 || parts.ranks.shape().pipeline > 1;
  switch (parts.configuration.precision) {
    case Precision::float32:
      return divided ? run_divided_float32(parts) : run_float32(parts);
    case Precision::mixed_bf16:
      return divided ? run_divided_mixed_bf16(parts) : run_mixed_bf16(parts);
    case Precision::bf16_stochastic:
    case Precision::bf16_master:
      return divided ? run_divided_bf16(parts) : run_bf16(parts);
  }
  return 1;
}

// A run that cannot start leaves nothing behind.
Corpus prepare_or_discard(const RunConfiguration& asked, const RunDirectory& run, const ResumePoint* point,
                          ProgressLine& progress) {
  try {
    return prepare_corpus(asked, run, point, progress);
  } catch (...) {
    run.discard();
    throw;
  }
}

// Where the run goes on, which rank 0 looks for.
std::optional<ResumePoint> shared_resume_point(const World& world, const RunConfiguration& asked,
                                               const RunFiles& files, ProgressLine& progress) {
  if (!asked.resume) return {};
  std::optional<ResumePoint> point;
  if (world.rank() == 0) point = find_resume_point(asked, files, progress);
  Index step = point ? point->saved.state.step : -1;
  world.broadcast(std::span{&step, 1});
  if (!point && step >= 0) point = resume_point(files, step);
  return point;
}

// Rank 0 reads the text, the others what it has made of it.
Corpus shared_corpus(const World& world, const RunConfiguration& asked, const RunFiles& files,
                     const RunDirectory* directory, const ResumePoint* point, ProgressLine& progress) {
  if (directory != nullptr) {
    Corpus corpus = prepare_or_discard(asked, *directory, point, progress);
    world.barrier();
    return corpus;
  }
  world.barrier();
  return prepared_corpus(asked, files);
}

int train(const World& world, const RunConfiguration& asked) {
  const Ranks ranks = arranged(world, asked);
  if (asked.device == DeviceKind::cuda) take_gpu(burrow::number_on_machine(world), world.size());
  if (asked.threads > 0)
    burrow::set_threads(static_cast<int>(asked.threads));
  else if (world.size() > 1)
    burrow::set_threads(fair_threads(world));
  const bool leads = world.rank() == 0;
  std::optional<RunDirectory> directory;
  if (leads) directory.emplace(asked.run, asked.resume);
  const RunFiles files{asked.run};
  const StopSignal stop;
  std::ostream nowhere{nullptr};
  ProgressLine progress{leads ? std::cerr : nowhere, leads && stderr_is_terminal(), stderr_columns};
  if (leads && !directory->locked())
    progress.message("this file system has no locks: nothing keeps a second process out of " + asked.run);

  std::optional<Unhurried> unhurried{world};  // reading a large text takes its time
  const auto point = shared_resume_point(world, asked, files, progress);
  const RunDirectory* const own = leads ? &*directory : nullptr;
  const Corpus corpus = shared_corpus(world, asked, files, own, point ? &*point : nullptr, progress);
  const RunConfiguration configuration = effective(asked, corpus.tokenizer, progress);
  const MachineReport machine = leads ? measured_machine(files.machine()) : MachineReport{};
  world.barrier();
  unhurried.reset();
  progress.message(description(configuration, corpus, machine) +
                   (world.size() > 1
                        ? "\nranks: " + std::to_string(world.size()) + ", mesh " + ranks.shape().text() +
                              ", ZeRO stage " + std::to_string(configuration.zero)
                        : ""));
  return run_session({configuration, ranks, files, own, corpus, stop, progress, point, machine.peaks});
}

}  // namespace

int train(const RunConfiguration& asked) {
  int count = 0;
  char** arguments = nullptr;
  const World world = burrow::distributed::init(count, arguments);
  try {
    return train(world, asked);
  } catch (...) {
    // What is wrong on all ranks is said once, by rank 0, which then ends the others.
    if (world.rank() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
    throw;
  }
}

}  // namespace gopher
