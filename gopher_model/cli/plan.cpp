// gopher plan: what a run takes on a mesh of some devices, and which meshes are best, without starting
// anything.
#include "gopher_model/training/plan.hpp"

#include <unistd.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "gopher_model/cli/command.hpp"
#include "gopher_model/cli/model_report.hpp"
#include "gopher_model/cli/options.hpp"
#include "gopher_model/cli/report_line.hpp"
#include "gopher_model/training/machine.hpp"

namespace gopher {
namespace {

using Json = nlohmann::ordered_json;

// Settings that change what a run takes.
bool is_counted(const Field& field) {
  return field.group == "model" || field.key == "tokens" || field.key == "precision" ||
         field.key == "micro_batch" || field.key == "batch_tokens" || field.key == "rematerialize" ||
         field.key == "optimizer" || field.key == "mesh" || field.key == "chunks" ||
         field.key == "sequence_parallel" || field.key == "zero" || field.key == "asynchronous_checkpoints";
}

// A core of this machine: its share of the peaks, of which products of a step are taken to reach most.
// Messages between cores are written once and read once.
Machine this_core(Precision precision) {
  const MachineReport report = measured_machine();
  const double cores = report.threads;
  const double memory =
      static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  return {"this core",
          memory / cores,
          product_peak(report.peaks, precision) / cores,
          report.peaks.stream_bandwidth / cores,
          report.peaks.stream_bandwidth / cores / 2,
          report.peaks.stream_bandwidth / cores / 2,
          report.threads,
          0.7,
          true};
}

std::string seconds_text(double seconds) { return formatted("%.4g s", seconds); }
std::string percent(double share) { return formatted("%.1f%%", 100 * share); }

std::string layout_text(const Layout& layout) {
  return layout.mesh.text() + ", ZeRO stage " + std::to_string(layout.zero) + ", micro_batch " +
         std::to_string(layout.micro_batch) + ", rematerialisation " + layout.rematerialize.text() +
         (layout.own_stages() > 1 ? ", " + std::to_string(layout.own_stages()) + " stages to a rank" : "") +
         (layout.row_parts() > 1 ? ", rows divided" : "");
}

double training_hours(const Plan& plan, const RunConfiguration& c) {
  return plan.step() * static_cast<double>(c.tokens) / static_cast<double>(c.batch_tokens) / 3600;
}

// "layers of the stages: 6, 2"; nothing without a pipeline.
std::string stages_line(const Plan& plan) {
  if (plan.layout.mesh.pipeline == 1) return "";
  std::string text;
  for (const Index layers : plan.stage_layers) text += (text.empty() ? "" : ", ") + std::to_string(layers);
  return "layers of the stages: " + text + "\n";
}

std::string memory_section(const Plan& plan, const Machine& machine) {
  const auto real = [](Index bytes) { return static_cast<double>(bytes); };
  const MemoryPlan& m = plan.memory;
  const auto of_host = [&](const char* name, Index bytes) {
    return bytes == 0
               ? ""
               : bytes_line(name, real(bytes), machine.host ? "in the same memory" : "in the host's memory");
  };
  return "\nbytes on the rank that needs most\n" + bytes_line("parameters", real(m.parameters)) +
         (m.gathered > 0 ? bytes_line("blocks that are gathered", real(m.gathered)) : "") +
         bytes_line("gradients", real(m.gradients)) +
         (m.fresh_gradients > 0 ? bytes_line("gradients under way", real(m.fresh_gradients)) : "") +
         (m.master > 0 ? bytes_line("float32 copy", real(m.master)) : "") +
         bytes_line("moments", real(m.moments)) + bytes_line("activations", real(m.activations)) +
         bytes_line("encodings of positions", real(m.encodings)) +
         (m.sending > 0 ? bytes_line("gradients that are sent", real(m.sending)) : "") +
         bytes_line("together", m.total(),
                    (plan.fits(machine) ? "fits in " : "does not fit in ") + binary_bytes(machine.memory)) +
         of_host("exchanges under way", m.exchanges) + of_host("copy for checkpoints", m.checkpoint_copy) +
         bytes_line("state on all ranks, counted once", real(plan.state));
}

struct NamedMessages {
  const char* name;
  const char* who;
  burrow::PlannedTraffic MessagePlan::*sent;
};
constexpr NamedMessages named_messages[] = {{"data", "data ranks", &MessagePlan::data},
                                            {"tensor", "tensor ranks", &MessagePlan::tensor},
                                            {"pipeline", "stages", &MessagePlan::pipeline},
                                            {"all", "all ranks", &MessagePlan::all}};

// Calls f(name, count) for the kinds of exchange that are made.
template <class F>
void for_each_kind(const burrow::PlannedTraffic& sent, const F& f) {
  for (std::size_t i = 0; i < burrow::collective_count; ++i) {
    const auto kind = static_cast<burrow::Collective>(i);
    if (sent[kind].calls > 0) f(burrow::name_of(kind), sent[kind]);
  }
}

std::string message_section(const Plan& plan) {
  std::string text = "\nbytes that all ranks send in a step\n";
  for (const NamedMessages& group : named_messages)
    for_each_kind(plan.messages.*group.sent, [&](const std::string& kind, const auto& count) {
      text += line(kind + " among " + group.who, count.bytes, grouped(count.calls) + " calls");
    });
  return text;
}

std::string time_section(const Plan& plan, const RunConfiguration& c, const Machine& machine) {
  return "\na step of " + grouped(c.batch_tokens) + " tokens, predicted\n" +
         line("products", seconds_text(plan.compute),
              "at " + percent(machine.efficiency) + " of the peak, bubble of " + percent(plan.bubble) +
                  " included") +
         line("exchange of data ranks", seconds_text(plan.data_exchange),
              "beyond what the backward pass covers") +
         line("exchange of tensor ranks", seconds_text(plan.tensor_exchange)) +
         line("exchange between stages", seconds_text(plan.pipeline_exchange)) +
         line("update", seconds_text(plan.update)) + line("all", seconds_text(plan.step())) +
         line("utilisation", percent(plan.utilisation), "of the devices' FLOPs, by the model's own") +
         line("training on " + grouped(c.tokens) + " tokens", formatted("%.4g h", training_hours(plan, c)));
}

std::string text_of(const Plan& plan, const RunConfiguration& c, const Machine& machine) {
  const std::string name = preset_of(c);
  return (name.empty() ? "a model of its own shape" : name) + " on " +
         std::to_string(plan.layout.mesh.ranks()) + " x " + std::string(machine.name) + ": " +
         layout_text(plan.layout) + "\n" + stages_line(plan) + memory_section(plan, machine) +
         message_section(plan) + time_section(plan, c, machine);
}

std::string table_of(const std::vector<Plan>& plans) {
  std::string text = "\nthe fastest that fit\n";
  for (const Plan& plan : plans)
    text +=
        line(layout_text(plan.layout), seconds_text(plan.step()), percent(plan.utilisation) + " utilised");
  return text;
}

Json sent_json(const MessagePlan& messages) {
  Json all = Json::object();
  for (const NamedMessages& group : named_messages)
    for_each_kind(messages.*group.sent, [&](const char* kind, const auto& count) {
      all[group.name][kind] = {{"calls", count.calls}, {"bytes", count.bytes}};
    });
  return all;
}

Json json_of(const Plan& plan, const RunConfiguration& c, const Machine& machine) {
  const MemoryPlan& m = plan.memory;
  return {{"mesh", plan.layout.mesh.text()},
          {"zero", plan.layout.zero},
          {"micro_batch", plan.layout.micro_batch},
          {"rematerialize", plan.layout.rematerialize.text()},
          {"chunks", plan.layout.own_stages()},
          {"sequence_parallel", plan.layout.row_parts() > 1},
          {"fits", plan.fits(machine)},
          {"memory",
           {{"parameters", m.parameters},
            {"gathered", m.gathered},
            {"gradients", m.gradients},
            {"fresh_gradients", m.fresh_gradients},
            {"master", m.master},
            {"moments", m.moments},
            {"activations", m.activations},
            {"encodings", m.encodings},
            {"sending", m.sending},
            {"exchanges", m.exchanges},
            {"checkpoint_copy", m.checkpoint_copy}}},
          {"state_bytes", plan.state},
          {"sent", sent_json(plan.messages)},
          {"stage_layers", plan.stage_layers},
          {"bubble", plan.bubble},
          {"step_seconds", plan.step()},
          {"utilisation", plan.utilisation},
          {"hours", training_hours(plan, c)}};
}

}  // namespace

int run_plan(Arguments arguments) {
  std::vector<Setting> command_line;
  std::string machine_name = "h100";
  Index ranks = 0;
  bool json = false;
  double memory = 0, peak = 0, efficiency = 0;
  Options options(
      "plan",
      "says what a run takes on devices that work together: memory, messages, the time of a step; for "
      "--mesh, or for the fastest meshes of --ranks devices that fit.",
      "gopher plan --preset 280B --machine h100 --ranks 1024");
  options.add(
      "--machine", machine_name, TextRule{"NAME"},
      "tpu-v3, a100, h100, h200 or b200, by their data sheets; this: the cores of this machine, measured");
  options.add("--ranks", ranks, IntegerRule{0, 1 << 20}, "how many devices; 0: those of --mesh");
  options.add("--memory", memory, RealRule{0, 1e6}, "GiB of a device in place of the machine's; 0: as it is");
  options.add("--peak", peak, RealRule{0, 1e6}, "TFLOP/s of a device in place of the machine's; 0: as it is");
  options.add("--efficiency", efficiency, RealRule{0, 1},
              "share of the peak that products are taken to reach; 0: the machine's, an assumption");
  options.add("--json", json, "print one JSON value, for programs");
  for (const Field& field : run_fields())
    if (is_counted(field)) options.add(field, command_line);
  if (!options.parse(arguments)) return 0;

  const RunConfiguration c = resolve({}, command_line);
  validate(c.size);
  if (c.mesh.empty() && ranks == 0)
    throw UsageError("plan needs --mesh, such as data=8,tensor=8, or --ranks, to find the best one.");
  Machine machine = machine_name == "this" ? this_core(c.precision) : machine_called(machine_name);
  if (memory > 0) machine.memory = memory * (1u << 30);
  if (peak > 0) machine.flops = peak * 1e12;
  if (efficiency > 0) machine.efficiency = efficiency;

  std::vector<Plan> best;
  if (ranks > 0) best = best_plans(c, ranks, machine, 5);
  if (c.mesh.empty() && best.empty())
    throw ConfigError("no mesh of " + std::to_string(ranks) + " x " + std::string(machine.name) +
                      " has memory for this run and divides its batch; more devices, or smaller ones of "
                      "--batch-tokens, may.");
  const Plan shown =
      c.mesh.empty() ? best.front() : plan(c, layout_of(c, burrow::parse_mesh(c.mesh)), machine);
  if (json) {
    Json all = json_of(shown, c, machine);
    for (const Plan& one : best) all["best"].push_back(json_of(one, c, machine));
    std::cout << all.dump(2) << '\n';
  } else {
    std::cout << text_of(shown, c, machine) << (best.empty() ? "" : table_of(best));
  }
  return 0;
}

}  // namespace gopher
