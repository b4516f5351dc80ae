// gopher generate: which model continues which text, and how.
#include "gopher_model/generation/generate.hpp"

#include "gopher_model/cli/command.hpp"
#include "gopher_model/cli/options.hpp"
#include "gopher_model/data/documents.hpp"
#include "gopher_model/generation/generate_options.hpp"

namespace gopher {
namespace {

void require_one_model(const GenerateOptions& asked) {
  if (asked.run.empty() == asked.checkpoint.empty()) {
    throw UsageError("generate needs either --run DIR or --checkpoint FILE, to know which model to use.");
  }
}

void refuse_greedy_with(const Options& options, const std::string& name) {
  if (options.given("--greedy") && options.given(name)) {
    throw UsageError("generate: --greedy always takes the likeliest token, so " + name +
                     " has no meaning beside it.");
  }
}

}  // namespace

int run_generate(Arguments arguments) {
  constexpr Index most = 1'000'000'000;
  GenerateOptions asked;
  Options options(
      "generate", "lets a trained model continue a text.",
      "gopher generate --run runs/book --prompt \"It was a dark\" --tokens 200 --temperature 0.8");
  options.add("--run", asked.run, TextRule{"DIR"}, "a run's directory; its newest checkpoint is used");
  options.add("--checkpoint", asked.checkpoint, TextRule{"FILE"}, "a checkpoint, in place of --run");
  options.add("--prompt", asked.prompt, TextRule{"TEXT"}, "the text to continue; - reads standard input");
  options.add("--tokens", asked.tokens, {1, most}, "how many tokens to draw at most");
  options.add("--temperature", asked.temperature, RealRule{0, 100, true},
              "below 1 the likely becomes likelier, above 1 less likely");
  options.add("--top-k", asked.top_k, {0, most}, "draw among the N likeliest tokens; 0: all");
  options.add("--top-p", asked.top_p, RealRule{0, 1, true},
              "draw among the likeliest tokens that make up this probability; 1: all");
  options.add("--greedy", asked.greedy, "always take the likeliest token");
  options.add("--seed", asked.seed, {0, most}, "the same seed gives the same text");
  options.add("--count", asked.count, {1, 65536}, "how many continuations");
  std::string device{device_names.front()};
  options.add("--device", device, ChoiceRule{device_names}, "where to compute");
  options.add("--threads", asked.threads, {0, 4096}, "threads to compute with; 0: all cores");
  options.add("--report", asked.report,
              "say how fast memory was read; on the CPU also measure how fast it can be");
  if (!options.parse(arguments)) return 0;

  require_one_model(asked);
  for (const char* name : {"--temperature", "--top-k", "--top-p"}) refuse_greedy_with(options, name);
  if (asked.prompt == "-") asked.prompt = read_standard_input();
  asked.device = device == "cuda" ? DeviceKind::cuda : DeviceKind::cpu;
  return generate(asked);
}

}  // namespace gopher
