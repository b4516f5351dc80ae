#include <nlohmann/json.hpp>

#include "gopher_model/cli/model_report.hpp"
#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/pass_memory.hpp"

namespace gopher {
namespace {

using Json = nlohmann::ordered_json;

Json parts(const ParameterCount& n) {
  return {{"embedding", n.embedding},
          {"attention", n.attention},
          {"relative_positions", n.relative_positions},
          {"feed_forward", n.feed_forward},
          {"position_biases", n.position_biases},
          {"attention_biases", n.attention_biases},
          {"feed_forward_biases", n.feed_forward_biases},
          {"norm_gains", n.norm_gains},
          {"logit_bias", n.logit_bias}};
}

Json parts(const StateBytes& bytes) {
  return {{"parameters", bytes.parameters}, {"master", bytes.master}, {"moments", bytes.moments}};
}

Json training(const ModelSize& size, double tokens) {
  const auto flops = [&](Passes passes, EmbeddingTerms terms) {
    return training_flops(size, tokens, passes, terms);
  };
  return {{"stored_activations", flops(Passes::stored_activations, EmbeddingTerms::excluded)},
          {"rematerialized", flops(Passes::rematerialized, EmbeddingTerms::excluded)},
          {"stored_activations_with_embedding", flops(Passes::stored_activations, EmbeddingTerms::included)},
          {"rematerialized_with_embedding", flops(Passes::rematerialized, EmbeddingTerms::included)}};
}

Json report(const RunConfiguration& c) {
  const ModelSize& size = c.size;
  const StateBytes bytes = state_bytes(c);
  const std::string name = preset_of(c);
  const auto tokens = static_cast<double>(c.tokens);
  Json json;
  json["preset"] = name.empty() ? Json() : Json(name);
  for (const ModelExtent& extent : model_extents) json[std::string(extent.name)] = size.*extent.member;
  json["parameters"] = parameters(size).full();
  json["parameters_core"] = parameters(size).core();
  json["parameters_small"] = parameters(size).small();
  json["parameters_by_part"] = parts(parameters(size));
  json["precision"] = name_of(c.precision);
  json["optimizer"] = name_of(c.optimizer);
  json["state_bytes"] = bytes.total();
  json["state_bytes_by_part"] = parts(bytes);
  json["gradient_bytes"] = bytes.gradients;
  json["micro_batch"] = c.micro_batch;
  json["activation_bytes"] =
      pass_bytes(size, c.micro_batch, c.precision, burrow::Rematerialization::selective());
  json["activation_bytes_rematerialized"] =
      pass_bytes(size, c.micro_batch, c.precision, burrow::Rematerialization::block());
  json["cache_bytes"] = cache_bytes(size, size.context, c.precision);
  json["tokens"] = c.tokens;
  json["train_flops"] = training_flops(size, tokens, Passes::rematerialized);
  json["train_flops_by_accounting"] = training(size, tokens);
  json["flops_per_token"] = flops_per_token(size, Passes::stored_activations);
  json["model_flops_per_token"] = model_flops_per_token(size);
  json["ratio_to_6nd"] = ratio_to_6nd(size);
  return json;
}

}  // namespace

std::string report_json(const RunConfiguration& configuration) {
  return report(configuration).dump(2) + "\n";
}

std::string presets_json() {
  Json all = Json::array();
  for (const Preset& named : presets) {
    RunConfiguration configuration;
    apply_preset(configuration, named);
    all.push_back(report(configuration));
  }
  return all.dump(2) + "\n";
}

}  // namespace gopher
