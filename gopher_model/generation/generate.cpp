#include "gopher_model/generation/generate.hpp"

#include <algorithm>
#include <iostream>

#include <burrow/debug/measured_peaks.hpp>

#include "gopher_model/generation/decoder.hpp"
#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/quantities.hpp"
#include "gopher_model/training/checkpoint.hpp"
#include "gopher_model/training/run_directory.hpp"

namespace gopher {
namespace {

using Model = RunTimeGopher<Float32<Cpu>>;

std::filesystem::path checkpoint_path(const GenerateOptions& options) {
  if (!options.checkpoint.empty()) return options.checkpoint;
  const RunFiles run{options.run};
  const auto newest = run.newest_checkpoint();
  for (const SavedCheckpoint& saved : run.checkpoints())
    if (!saved.damage.empty() && (!newest || saved.step > newest->step))
      std::cerr << "passed over a damaged checkpoint: " << saved.damage << '\n';
  if (!newest)
    throw ConfigError(options.run + ": no whole checkpoint there; train one with gopher train --run " +
                      options.run + ".");
  return newest->path;
}

// The parameters of a checkpoint of any precision, as float.
void read_parameters(const burrow::SafetensorsFile& file, Precision precision, Model& model) {
  const auto values = parameters(model).values();
  if (precision == Precision::float32 || precision == Precision::mixed_bf16)
    return read_tensors(file, model, values);
  std::vector<bf16> stored(values.size());
  read_tensors(file, model, std::span{stored});
  std::copy(stored.begin(), stored.end(), values.begin());
}

// "128 tokens, 90.3 tokens/s after a prompt of 12 tokens in 31 ms"
std::string speed_text(const Continuation& all, const ModelSize& size, bool report) {
  const auto rate = [](double amount, double seconds) { return amount / std::max(seconds, 1e-9); };
  std::string text = std::to_string(all.tokens) + " tokens";
  if (all.decoded > 0)
    text += ", " + formatted("%.1f", rate(static_cast<double>(all.decoded), all.seconds)) + " tokens/s";
  text += " after a prompt of " + std::to_string(all.prompt_tokens) + " tokens in " +
          formatted("%.0f", 1e3 * all.prompt_seconds) + " ms";
  if (!report || all.decoded == 0) return text;
  const double bytes = decode_bytes(size, all.cached / all.decoded, sizeof(Model::compute));
  const double reached = rate(static_cast<double>(all.decoded) * bytes, all.seconds);
  const double peak = burrow::measured_peaks().read_bandwidth;
  return text + "; weights and cache read at " + formatted("%.1f", reached / 1e9) + " GB/s, " +
         formatted("%.0f", 100 * reached / peak) + "% of this machine's " + formatted("%.1f", peak / 1e9);
}

}  // namespace

int generate(const GenerateOptions& options) {
  if (options.threads > 0) burrow::set_threads(static_cast<int>(options.threads));
  const burrow::SafetensorsFile file{checkpoint_path(options)};
  const CheckpointDescription description = describe_checkpoint(file);
  Model model = build(Model::make(description.size), burrow::Key{});
  read_parameters(file, description.precision, model);
  const auto stored = file.values<std::uint8_t>(tokenizer_tensor);
  const Tokenizer tokenizer = Tokenizer::deserialize(
      {reinterpret_cast<const char*>(stored.data()), stored.size()}, file.path().string());

  const SamplingOptions sampling{options.temperature, options.top_k, options.top_p, options.greedy};
  Continuation all;
  for (Index i = 0; i < options.count; ++i) {
    if (i > 0) std::cout << "\n---\n";
    std::cout << options.prompt << std::flush;
    const burrow::Key key =
        burrow::Key{static_cast<std::uint64_t>(options.seed)}.fold_in(static_cast<std::uint64_t>(i));
    all += continue_text(model, tokenizer, options.prompt, options.tokens, sampling, key,
                         [](std::string_view text) { std::cout << text << std::flush; });
  }
  std::cout << '\n';
  if (!std::cout.flush()) throw burrow::IoError("standard output: the text could not be written");
  std::cerr << speed_text(all, description.size, options.report) << '\n';
  return 0;
}

}  // namespace gopher
