#include "gopher_model/cli/model_report.hpp"

#include <cstdio>

#include "gopher_model/cli/report_line.hpp"
#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/pass_memory.hpp"
#include "gopher_model/model/quantities.hpp"

namespace gopher {
namespace {

std::string shape_section(const RunConfiguration& c) {
  const std::string name = preset_of(c);
  std::string text = (name.empty() ? "a model of its own shape" : name) + "\n";
  for (const ModelExtent& extent : model_extents) text += line(extent.name, c.size.*extent.member);
  return text;
}

std::string parameter_section(const ModelSize& size) {
  const ParameterCount n = parameters(size);
  return "\nparameters\n" + line("embedding, input and output", n.embedding) +
         line("attention: query, key, value, output", n.attention) +
         line("relative positions", n.relative_positions) + line("feed-forward", n.feed_forward) +
         line("matrices together", n.core(), "N(core)") + line("position biases u, v", n.position_biases) +
         line("attention biases", n.attention_biases) + line("feed-forward biases", n.feed_forward_biases) +
         line("norm gains", n.norm_gains) + line("logit bias", n.logit_bias) +
         line("vectors together", n.small(), "N(small)") + line("all", n.full(), "N(full)") +
         line("all but the embedding", n.without_embedding());
}

std::string memory_section(const RunConfiguration& c) {
  const StateBytes bytes = state_bytes(c);
  const auto real = [](Index count) { return static_cast<double>(count); };
  const auto activations = [&](const char* name, burrow::Rematerialization choice) {
    return bytes_line(name, real(pass_bytes(c.size, c.micro_batch, c.precision, choice)),
                      "micro_batch " + std::to_string(c.micro_batch));
  };
  return "\nbytes, " + std::string(name_of(c.precision)) + " with " + std::string(name_of(c.optimizer)) +
         "\n" + bytes_line("parameters", real(bytes.parameters)) +
         (bytes.master > 0 ? bytes_line("float32 copy", real(bytes.master)) : "") +
         (bytes.moments > 0 ? bytes_line("moments", real(bytes.moments)) : "") +
         bytes_line("state: all of these", real(bytes.total()),
                    std::to_string(bytes.total() / parameters(c.size).full()) + " per parameter") +
         bytes_line("gradients, float32", real(bytes.gradients)) +
         activations("activations", burrow::Rematerialization::selective()) +
         activations("activations, blocks rematerialised", burrow::Rematerialization::block()) +
         bytes_line("key/value cache", real(cache_bytes(c.size, c.size.context, c.precision)),
                    "one sequence of the context");
}

std::string passes_lines(const ModelSize& size, double tokens, Passes passes, const std::string& label) {
  const auto included = EmbeddingTerms::included, excluded = EmbeddingTerms::excluded;
  return line(label, petaflops(training_flops(size, tokens, passes, excluded)),
              "without embedding and logits") +
         line(label, petaflops(training_flops(size, tokens, passes, included)), "with them");
}

std::string flops_section(const RunConfiguration& c) {
  const ModelSize& size = c.size;
  const auto tokens = static_cast<double>(c.tokens);
  const auto per_token = [&](Passes passes) { return formatted("%.4g", flops_per_token(size, passes)); };
  return "\nFLOPs of training on " + grouped(c.tokens) + " tokens\n" +
         passes_lines(size, tokens, Passes::stored_activations, "3 forward passes a step") +
         passes_lines(size, tokens, Passes::rematerialized, "4, activations rematerialised") +
         line("per token, 3 forward passes", per_token(Passes::stored_activations)) +
         line("per token, 4 forward passes", per_token(Passes::rematerialized)) +
         line("per token, for utilisation", formatted("%.4g", model_flops_per_token(size)),
              "causal attention, positions counted") +
         line("ratio to 6 N D", formatted("%.3f", ratio_to_6nd(size)));
}

}  // namespace

std::string preset_of(const RunConfiguration& configuration) {
  return preset(configuration.preset).size == configuration.size ? configuration.preset : "";
}

std::string report_text(const RunConfiguration& configuration) {
  return shape_section(configuration) + parameter_section(configuration.size) +
         memory_section(configuration) + flops_section(configuration);
}

std::string presets_text() {
  char row[160];
  std::snprintf(row, sizeof row, "%-6s %6s %6s %5s %10s %17s %9s %8s %15s  %s\n", "preset", "layers", "width",
                "heads", "head width", "parameters", "max. rate", "batch", "precision", "from");
  std::string text = row;
  for (const Preset& named : presets) {
    const ModelSize& size = named.size;
    std::snprintf(row, sizeof row, "%-6s %6lld %6lld %5lld %10lld %17s %9.2g %8lld %15s  %s\n",
                  std::string(named.name).c_str(), static_cast<long long>(size.layers),
                  static_cast<long long>(size.width), static_cast<long long>(size.heads),
                  static_cast<long long>(size.head_width), grouped(parameters(size).full()).c_str(),
                  named.learning_rate, static_cast<long long>(named.batch_tokens),
                  std::string(name_of(named.precision)).c_str(),
                  named.from_paper ? "arXiv 2112.11446" : "this project");
    text += row;
  }
  return text + "\nMore about one of them: gopher info --preset 280B\n";
}

}  // namespace gopher
