#include "gopher_model/training/trainer.hpp"

#include <cstdlib>
#include <iostream>

#include <burrow/core/parallel.hpp>

#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/quantities.hpp"
#include "gopher_model/training/machine.hpp"
#include "gopher_model/training/session_parts.hpp"

namespace gopher {
namespace {

// A launcher such as mpirun sets one of these; its processes would all train the same run.
void refuse_several_processes() {
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* const size = std::getenv(name);
    if (size == nullptr || std::atol(size) <= 1) continue;
    throw burrow::ConfigError("gopher train was started as one of " + std::string(size) + " processes (" +
                              name +
                              "), but trains in one process with many threads; start it without mpirun.");
  }
}

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
  switch (parts.configuration.precision) {
    case Precision::float32:
      return run_float32(parts);
    case Precision::mixed_bf16:
      return run_mixed_bf16(parts);
    case Precision::bf16_stochastic:
    case Precision::bf16_master:
      return run_bf16(parts);
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

}  // namespace

int train(const RunConfiguration& asked) {
  refuse_several_processes();
  if (asked.device == DeviceKind::cuda) require_cuda();
  if (asked.threads > 0) burrow::set_threads(static_cast<int>(asked.threads));
  const RunDirectory run{asked.run, asked.resume};
  const StopSignal stop;
  ProgressLine progress{std::cerr, stderr_is_terminal(), stderr_columns};
  if (!run.locked())
    progress.message("this file system has no locks: nothing keeps a second process out of " + asked.run);
  const auto point = asked.resume ? find_resume_point(asked, run, progress) : std::nullopt;
  const Corpus corpus = prepare_or_discard(asked, run, point ? &*point : nullptr, progress);
  const RunConfiguration configuration = effective(asked, corpus.tokenizer, progress);
  const MachineReport machine = measured_machine(run.machine());
  progress.message(description(configuration, corpus, machine));
  return run_session({configuration, run, corpus, stop, progress, point, machine.peaks});
}

}  // namespace gopher
