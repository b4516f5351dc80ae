#include "gopher_model/generation/generate.hpp"

#include <algorithm>
#include <iostream>

#include "gopher_model/generation/decoder.hpp"
#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/quantities.hpp"
#include "gopher_model/training/checkpoint.hpp"
#include "gopher_model/training/machine.hpp"
#include "gopher_model/training/run_directory.hpp"

namespace gopher {
namespace {

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

// "128 tokens, 90.3 tokens/s after a prompt of 12 tokens in 31 ms"; with a report also how fast weights and
// cache, elements of `bytes` bytes, were read.
std::string speed_text(const Continuation& all, const ModelSize& size, bool report, std::string_view element,
                       Index bytes) {
  const auto rate = [](double amount, double seconds) { return amount / std::max(seconds, 1e-9); };
  std::string text = std::to_string(all.tokens) + " tokens";
  if (all.decoded > 0)
    text += ", " + formatted("%.1f", rate(static_cast<double>(all.decoded), all.seconds)) + " tokens/s";
  text += " after a prompt of " + std::to_string(all.prompt_tokens) + " tokens in " +
          formatted("%.0f", 1e3 * all.prompt_seconds) + " ms";
  if (!report || all.decoded == 0) return text;
  const double token = decode_bytes(size, all.cached / all.decoded, bytes);
  const double reached = rate(static_cast<double>(all.decoded) * token, all.seconds);
  const double peak = measured_machine().peaks.read_bandwidth;
  return text + "; " + std::string(element) + " weights and cache read at " +
         formatted("%.1f", reached / 1e9) + " GB/s, " + formatted("%.0f", 100 * reached / peak) +
         "% of this machine's " + formatted("%.1f", peak / 1e9);
}

// Continues the prompt with the model that a checkpoint holds, its weights in the policy's type.
template <class Policy>
int generate_with(const GenerateOptions& options, const burrow::SlicedTensors& saved, const ModelSize& size) {
  using Model = RunTimeGopher<Policy>;
  Model model = build(Model::make(size), burrow::Key{});
  saved.read(burrow::parameter_slices(model), burrow::StateExtent::elements, "", 0,
             parameters(model).values());
  const burrow::SafetensorsFile& file = saved.first_file();
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
  std::cerr << speed_text(all, size, options.report, dtype_name<typename Policy::compute>(),
                          sizeof(typename Policy::compute))
            << '\n';
  return 0;
}

}  // namespace

int generate(const GenerateOptions& options) {
  if (options.threads > 0) burrow::set_threads(static_cast<int>(options.threads));
  const burrow::SlicedTensors saved = open_checkpoint(checkpoint_path(options));
  const CheckpointDescription description = describe_checkpoint(saved.first_file());
  const bool bf16_weights =
      description.precision == Precision::bf16_stochastic || description.precision == Precision::bf16_master;
  return bf16_weights ? generate_with<Bf16<Cpu>>(options, saved, description.size)
                      : generate_with<Float32<Cpu>>(options, saved, description.size);
}

}  // namespace gopher
