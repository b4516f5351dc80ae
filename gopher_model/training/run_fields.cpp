#include "gopher_model/training/run_fields.hpp"

#include <algorithm>
#include <array>

#include <burrow/distributed/mesh.hpp>
#include <burrow/nn/rematerialization.hpp>

#include "gopher_model/model/nearest_name.hpp"
#include "gopher_model/training/batch_schedule.hpp"

namespace gopher {
namespace {

using C = RunConfiguration;
using S = ModelSize;

template <class Enum>
constexpr std::span<const std::string_view> names_of() {
  if constexpr (std::is_same_v<Enum, Precision>) return precision_names;
  if constexpr (std::is_same_v<Enum, OptimizerKind>) return optimizer_names;
  if constexpr (std::is_same_v<Enum, DeviceKind>) return device_names;
}

template <auto... Path>
using member_type = std::remove_cvref_t<decltype((std::declval<C&>().*....*Path))>;

template <auto... Path>
Value read_member(const C& configuration) {
  using Member = member_type<Path...>;
  const Member& member = (configuration.*....*Path);
  if constexpr (std::is_enum_v<Member>) {
    return std::string(names_of<Member>()[static_cast<std::size_t>(member)]);
  } else {
    return member;
  }
}

template <auto... Path>
void write_member(C& configuration, const Value& value) {
  using Member = member_type<Path...>;
  Member& member = (configuration.*....*Path);
  if constexpr (std::is_enum_v<Member>) {
    const auto names = names_of<Member>();
    const auto found = std::find(names.begin(), names.end(), std::get<std::string>(value));
    member = static_cast<Member>(found - names.begin());
  } else {
    member = std::get<Member>(value);
  }
}

// The field of the member that Path leads to.
template <auto... Path>
Field field(std::string_view key, std::string_view group, const Rule& rule, std::string_view help) {
  return {key, group, help, rule, &read_member<Path...>, &write_member<Path...>};
}

Rule extent(Index ModelSize::*member) {
  for (const ModelExtent& extent : model_extents) {
    if (extent.member == member) return IntegerRule{1, extent.limit};
  }
  throw burrow::Error("extent: a member of ModelSize is missing from model_extents.");
}

Rule from(Index min, Index max) { return IntegerRule{min, max}; }

void check_preset(std::string_view name) { preset(name); }
// Calls parse(), a parser of the library, whose sentences end without the full stop that ours have.
template <class Parse>
void check_by(const Parse& parse) {
  try {
    parse();
  } catch (const ConfigError& error) {
    throw ConfigError(error.what() + std::string("."));
  }
}
void check_mesh(std::string_view text) {
  check_by([&] {
    if (!text.empty()) burrow::parse_mesh(text);
  });
}
void check_rematerialization(std::string_view text) {
  check_by([&] { burrow::parse_rematerialization(text); });
}
void check_ramp(std::string_view text) { parse_batch_ramp(text); }

constexpr Index most_steps = 1'000'000'000, most_tokens = 1'000'000'000'000'000;

std::vector<Field> data_and_model_fields() {
  return {
      field<&C::data>("data", "data", TextListRule{"FILE"},
                      "text files, JSON lines (.jsonl) or directories of them to train on, as they are or "
                      "compressed (.gz, .zst); - is standard input; none: this project's own sources"),
      field<&C::tokenizer>("tokenizer", "data", TextRule{"FILE"},
                           "a trained tokenizer; empty trains one on the data"),
      field<&C::preset>("preset", "model", TextRule{"NAME", check_preset},
                        "where the settings start from: 44M 117M 417M 1.4B 7.1B 280B (the paper's), "
                        "tiny small (this project's)"),
      field<&C::size, &S::layers>("layers", "model", extent(&S::layers), "number of layers"),
      field<&C::size, &S::width>("width", "model", extent(&S::width), "width of the residual stream; even"),
      field<&C::size, &S::heads>("heads", "model", extent(&S::heads), "attention heads of a layer"),
      field<&C::size, &S::head_width>("head_width", "model", extent(&S::head_width),
                                      "width of a head's queries, keys and values"),
      field<&C::size, &S::feed_forward>("feed_forward", "model", extent(&S::feed_forward),
                                        "hidden width of the feed-forward layers"),
      field<&C::size, &S::vocabulary>("vocabulary", "model", extent(&S::vocabulary),
                                      "tokens that the tokenizer and the embedding know"),
      field<&C::size, &S::context>("context", "model", extent(&S::context), "tokens of a training sequence"),
  };
}

std::vector<Field> training_fields() {
  return {
      field<&C::steps>("steps", "training", from(0, most_steps),
                       "end after this many steps; 0: no such limit"),
      field<&C::tokens>("tokens", "training", from(0, most_tokens),
                        "end after this many tokens; 0: no such limit"),
      field<&C::time_limit>("time_limit", "training", RealRule{0, 1e6},
                            "end after this many minutes; 0: no such limit"),
      field<&C::batch_tokens>("batch_tokens", "training", from(1, Index{1} << 28),
                              "tokens of one optimizer step; a multiple of context x micro_batch"),
      field<&C::batch_ramp>("batch_ramp", "training", TextRule{"AT:FACTOR", check_ramp},
                            "0.5:2 doubles the batch at half of the tokens; empty: constant"),
      field<&C::micro_batch>("micro_batch", "training", from(1, 65536),
                             "sequences computed at once; more is faster and takes more memory"),
      field<&C::precision>("precision", "training", ChoiceRule{precision_names},
                           "types of parameters and activations"),
      field<&C::rematerialize>(
          "rematerialize", "training", TextRule{"WHAT", check_rematerialization},
          "what is computed again in the backward pass instead of being kept: none; selective: norms and "
          "activations, almost free; block: each block, a third more work and much less memory; every=N: N "
          "blocks at a time"),
      field<&C::seed>("seed", "training", from(0, most_tokens),
                      "the same seed and number of threads give the same run, bit for bit"),
  };
}

std::vector<Field> optimizer_fields() {
  constexpr RealRule fraction{0, 1, false, true};
  return {
      field<&C::optimizer>("optimizer", "optimizer", ChoiceRule{optimizer_names}, "the update rule"),
      field<&C::learning_rate>("learning_rate", "optimizer", RealRule{0, 10, true},
                               "the largest, after warm-up"),
      field<&C::final_learning_rate_fraction>("final_learning_rate_fraction", "optimizer", RealRule{0, 1},
                                              "the cosine decay ends at this part of it"),
      field<&C::warmup_steps>(
          "warmup_steps", "optimizer", from(0, most_steps),
          "steps of linear growth to the largest learning rate; at most a fifth of the run"),
      field<&C::initial_learning_rate>("initial_learning_rate", "optimizer", RealRule{0, 10},
                                       "where the warm-up starts"),
      field<&C::clip>("clip", "optimizer", RealRule{0, 1e6},
                      "largest norm of the whole gradient; 0: no clipping"),
      field<&C::beta1>("beta1", "optimizer", fraction, "decay of the first moment, or momentum of sgd"),
      field<&C::beta2>("beta2", "optimizer", fraction, "decay of the second moment"),
      field<&C::epsilon>("epsilon", "optimizer", RealRule{0, 1, true},
                         "added to the root of the second moment"),
      field<&C::weight_decay>("weight_decay", "optimizer", RealRule{0, 10},
                              "decoupled decay of the parameters, for adamw and sgd"),
  };
}

std::vector<Field> evaluation_and_output_fields() {
  return {
      field<&C::evaluate_every>("evaluate_every", "evaluation", from(0, most_steps),
                                "steps between evaluations; 0: only at the end"),
      field<&C::evaluate_tokens>(
          "evaluate_tokens", "evaluation", from(0, most_tokens),
          "held-out tokens that an evaluation on the way reads; the last one reads all"),
      field<&C::sample_prompts>("sample_prompts", "evaluation", TextListRule{"TEXT"},
                                "texts that the trained model continues at the end"),
      field<&C::sample_count>("sample_count", "evaluation", from(1, 1024), "continuations of each prompt"),
      field<&C::sample_tokens>("sample_tokens", "evaluation", from(1, 65536), "tokens of a continuation"),
      field<&C::run>("run", "output", TextRule{"DIR"},
                     "directory for checkpoints, metrics and configuration"),
      field<&C::resume>("resume", "output", FlagRule{}, "go on from the newest checkpoint in the directory"),
      field<&C::checkpoint_every>("checkpoint_every", "output", from(0, most_steps),
                                  "steps between checkpoints; 0: only at the end"),
      field<&C::asynchronous_checkpoints>(
          "asynchronous_checkpoints", "output", FlagRule{},
          "write checkpoints while training goes on, from a copy that takes their size of memory"),
      field<&C::keep>("keep", "output", from(0, 1'000'000), "newest checkpoints to keep; 0: all"),
      field<&C::log_every>("log_every", "output", from(1, most_steps), "steps between lines of progress"),
      field<&C::profile>("profile", "output", FlagRule{},
                         "say where the time of a few steps goes, and write RUN/profile.json for Perfetto"),
      field<&C::profile_steps>("profile_steps", "output", from(1, 1000),
                               "steps that a profile sums up, after two others"),
      field<&C::mesh>(
          "mesh", "machine", TextRule{"AXES", check_mesh},
          "how the processes of mpirun or srun divide the work: data=2,pipeline=2,tensor=2 are eight, "
          "which divide the batch, the layers, and the products; empty: all of them share the "
          "batch"),
      field<&C::chunks>("chunks", "machine", from(1, 4096),
                        "stages of the layers that each pipeline process has; more than 1 are interleaved, "
                        "which makes it wait less and send more"),
      field<&C::sequence_parallel>(
          "sequence_parallel", "machine", FlagRule{},
          "processes that share products also divide the rows between them (sequence parallelism)"),
      field<&C::zero>("zero", "machine", from(0, 3),
                      "what processes that share the batch divide beside it: 1 the optimizer's state, 2 also "
                      "the gradients of micro-batches, 3 also the layers' parameters, 0 nothing"),
      field<&C::threads>("threads", "machine", from(0, 4096),
                         "threads of each process; 0: all cores, divided fairly"),
      field<&C::device>("device", "machine", ChoiceRule{device_names}, "where to compute"),
  };
}

std::vector<Field> all_fields() {
  std::vector<Field> all;
  for (const auto& part :
       {data_and_model_fields(), training_fields(), optimizer_fields(), evaluation_and_output_fields()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace

std::span<const Field> run_fields() {
  static const std::vector<Field> table = all_fields();
  return table;
}

std::vector<std::string_view> run_groups() {
  std::vector<std::string_view> groups;
  for (const Field& field : run_fields()) {
    if (groups.empty() || groups.back() != field.group) groups.push_back(field.group);
  }
  return groups;
}

const Field* find_field(std::string_view key) {
  for (const Field& field : run_fields()) {
    if (field.key == key) return &field;
  }
  return nullptr;
}

const Field& nearest_field(std::string_view key) {
  std::vector<std::string_view> keys;
  for (const Field& field : run_fields()) keys.push_back(field.key);
  return *find_field(nearest_name(key, keys));
}

std::string option_name(std::string_view key) {
  std::string name = "--" + std::string(key);
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

}  // namespace gopher
