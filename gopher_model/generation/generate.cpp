#include "gopher_model/generation/generate.hpp"

#include <algorithm>

#include "gopher_model/generation/text_generation.hpp"
#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/quantities.hpp"
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

double rate(double amount, double seconds) { return amount / std::max(seconds, 1e-9); }

}  // namespace

Tokenizer SavedModel::tokenizer() const {
  const burrow::SafetensorsFile& file = tensors.first_file();
  const auto stored = file.values<std::uint8_t>(tokenizer_tensor);
  return Tokenizer::deserialize({reinterpret_cast<const char*>(stored.data()), stored.size()},
                                file.path().string());
}

std::string speed_text(const Continuation& all, const ModelSize& size, const GenerateOptions& options,
                       std::string_view element, Index bytes) {
  std::string text = std::to_string(all.tokens) + " tokens";
  if (all.decoded > 0)
    text += ", " + formatted("%.1f", rate(static_cast<double>(all.decoded), all.seconds)) + " tokens/s";
  text += " after a prompt of " + std::to_string(all.prompt_tokens) + " tokens in " +
          formatted("%.0f", 1e3 * all.prompt_seconds) + " ms";
  if (!options.report || all.decoded == 0) return text;
  const double token = decode_bytes(size, all.cached / all.decoded, bytes);
  const double reached = rate(static_cast<double>(all.decoded) * token, all.seconds);
  text += "; " + std::string(element) + " weights and cache read at " + formatted("%.1f", reached / 1e9) +
          " GB/s";
  if (options.device != DeviceKind::cpu) return text;
  const double peak = measured_machine().peaks.read_bandwidth;
  return text + ", " + formatted("%.0f", 100 * reached / peak) + "% of this machine's " +
         formatted("%.1f", peak / 1e9);
}

int generate(const GenerateOptions& options) {
  if (options.device == DeviceKind::cuda) require_cuda();
  if (options.threads > 0) burrow::set_threads(static_cast<int>(options.threads));
  const burrow::SlicedTensors tensors = open_checkpoint(checkpoint_path(options));
  const SavedModel saved{tensors, describe_checkpoint(tensors.first_file())};
  return options.device == DeviceKind::cuda ? generate_on_cuda(options, saved)
                                            : generate_on<Cpu>(options, saved);
}

}  // namespace gopher
