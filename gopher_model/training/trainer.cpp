#include "gopher_model/training/trainer.hpp"

#include <iostream>

#include <burrow/core/parallel.hpp>

#include "gopher_model/training/machine.hpp"
#include "gopher_model/training/session_parts.hpp"

namespace gopher {
namespace {

// The configuration with what the tokenizer decides.
RunConfiguration effective(RunConfiguration configuration, const Tokenizer& tokenizer) {
  configuration.size.vocabulary = tokenizer.vocabulary();
  return configuration;
}

std::string description(const RunConfiguration& c, const Corpus& corpus, const MachineReport& machine) {
  const ModelSize& s = c.size;
  return "model: " + std::to_string(s.layers) + " layers, width " + std::to_string(s.width) + ", " +
         std::to_string(s.heads) + " heads of " + std::to_string(s.head_width) + ", vocabulary " +
         std::to_string(s.vocabulary) + ", context " + std::to_string(s.context) +
         "\ntext: " + std::to_string(corpus.documents) + " documents, " +
         std::to_string(corpus.training.dataset().size()) + " training tokens, " +
         std::to_string(corpus.held_out.dataset().size()) + " held out\nmachine: " + machine.cpu + ", " +
         std::to_string(machine.threads) + " threads, matrix products by " + machine.backend + " at " +
         std::to_string(static_cast<Index>(machine.peak_flops_per_second / 1e9)) + " GFLOP/s";
}

}  // namespace

int train(const RunConfiguration& asked) {
  if (asked.threads > 0) burrow::set_threads(static_cast<int>(asked.threads));
  const RunDirectory run{asked.run, asked.resume};
  const StopSignal stop;
  ProgressLine progress{std::cerr, stderr_is_terminal()};
  if (!run.locked())
    progress.message("this file system has no locks: nothing keeps a second process out of " + asked.run);
  const Corpus corpus = prepare_corpus(asked, run);
  const RunConfiguration configuration = effective(asked, corpus.tokenizer);
  RunConfiguration saved = configuration;
  saved.resume = false;  // the file serves other runs too
  run.write_text(std::string(configuration_file_name), to_toml(saved));
  const MachineReport machine = machine_report(true);
  progress.message(description(configuration, corpus, machine));
  const SessionParts parts{configuration, run, corpus, stop, progress, machine.peak_flops_per_second};
  switch (configuration.precision) {
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

}  // namespace gopher
