#include "gopher_model/training/plan.hpp"

#include <algorithm>

#include "gopher_model/model/stage_layers.hpp"
#include "gopher_model/training/plan_parts.hpp"

namespace gopher {
namespace {

using burrow::MeshShape;
using burrow::Rematerialization;

double real(Index value) { return static_cast<double>(value); }

// Why a run does not divide so, as a sentence; nothing where it does.
std::string obstacle(const RunConfiguration& c, const Layout& layout) {
  const MeshShape& mesh = layout.mesh;
  const auto text = [](Index number) { return std::to_string(number); };
  const Index unit = c.size.context * mesh.data;
  if (c.batch_tokens % unit != 0)
    return "batch_tokens must be a multiple of context x data ranks = " + text(c.size.context) + " x " +
           text(mesh.data) + " = " + text(unit) + ", such as " +
           text((c.batch_tokens + unit - 1) / unit * unit) + ", not " + text(c.batch_tokens) + ".";
  const std::string name = "mesh " + mesh.text() + ": ";
  struct Divided {
    Index count;
    const char* things;
    Index parts;
    const char* who;
  };
  for (const auto& [count, things, parts, who] :
       {Divided{c.size.layers, "layers", Index{mesh.pipeline} * layout.own_stages(), "stages"},
        Divided{c.size.heads, "heads", mesh.tensor, "tensor ranks"},
        Divided{c.size.feed_forward, "feed-forward columns", mesh.tensor, "tensor ranks"},
        Divided{c.size.vocabulary, "tokens of the vocabulary", mesh.tensor, "tensor ranks"}})
    if (count < parts)
      return name + text(count) + " " + things + " are not enough for " + text(parts) + " " + who + ".";
  if (c.size.context % layout.row_parts() != 0)
    return name + "with sequence_parallel its tensor ranks divide the context, so " + text(c.size.context) +
           " must be a multiple of " + text(mesh.tensor) + ".";
  const Index sequences = c.batch_tokens / unit, round = layout.micro_batch * mesh.pipeline;
  if (layout.own_stages() > 1 && sequences % round != 0)
    return name +
           "with chunks above 1 its stages take micro-batches in rounds, so the sequences of a step on each "
           "data rank must be a multiple of micro_batch x pipeline ranks = " +
           text(round) + ", not " + text(sequences) + ".";
  return "";
}

// Seconds for which `bytes` that all ranks together send keep each of them.
double seconds(Index bytes, const Machine& machine, int ranks, bool near) {
  return real(bytes) / ranks / (near ? machine.near : machine.far);
}

// The seconds of a step's products, the ranks of a pipeline waiting for each other included, and the share of
// them for which they wait.
struct Products {
  double seconds, waiting;
};
Products products_of(const PlanParts& parts, double rate) {
  const int ranks = parts.mesh().pipeline;
  const Index batches = parts.micro_batches();
  const double tokens = real(parts.sequences() * parts.size().context) / real(batches);
  const auto rematerialize = parts.layout().rematerialize;
  const StageFlops flops = stage_flops(parts.size(), rematerialize);
  const double passes = rematerialize.blocks() > 0 ? 4 : 3;  // as long as the forward pass
  const burrow::PipelineSchedule& schedule = parts.schedule();
  std::vector<double> forward(static_cast<std::size_t>(schedule.stages())), backward = forward;
  double most = 0, all = 0;
  for (int r = 0; r < ranks; ++r) {
    const auto& blocks = parts.chunk_blocks(r);
    double busy = 0;
    for (int chunk = 0; chunk < schedule.chunks; ++chunk) {
      const int stage = schedule.stage(r, chunk);
      const auto s = static_cast<std::size_t>(stage);
      const double layers = flops.layer * real(blocks[static_cast<std::size_t>(chunk)]);
      const double head = stage + 1 == schedule.stages() ? flops.head : 0;
      forward[s] = (layers / passes + head / 3) * tokens / rate;
      backward[s] = (layers + head) * tokens / rate - forward[s];
      busy += forward[s] + backward[s];
    }
    most = std::max(most, busy);
    all += busy;
  }
  const double length =
      schedule_length(schedule, forward, backward) + real(batches - schedule.micro_batches) * most;
  return {length, 1 - all / ranks * real(batches) / length};
}

void predict_time(Plan& plan, const PlanParts& parts, const Machine& machine) {
  const RunConfiguration& c = parts.configuration();
  const MeshShape& mesh = plan.layout.mesh;
  const int ranks = mesh.ranks();
  const double rate = machine.flops * machine.efficiency;
  const double model_flops = model_flops_per_token(c.size) * real(c.batch_tokens);
  const auto [products, waiting] = products_of(parts, rate * mesh.tensor);
  plan.bubble = waiting;
  plan.compute = products;
  const auto& m = plan.messages;
  plan.tensor_exchange = seconds(m.tensor.total().bytes, machine, ranks, mesh.tensor <= machine.group);
  plan.pipeline_exchange = seconds(m.pipeline.total().bytes, machine, ranks, ranks <= machine.group);
  const Index gathered = m.data[burrow::Collective::all_gather].bytes;
  const Index gradients = m.data.total().bytes - gathered;
  const bool near = mesh.tensor * mesh.data <= machine.group;
  // Gradients are added while the last micro-batch's backward pass goes on; what it does not cover is waited
  // for.
  const double covered = 2 * model_flops / 3 / (rate * ranks) / real(plan.micro_batches);
  plan.data_exchange = std::max(0.0, seconds(gradients, machine, ranks, near) - covered) +
                       seconds(gathered, machine, ranks, near);
  const MemoryPlan& memory = plan.memory;
  plan.update = real(memory.gradients + 2 * (memory.master + memory.moments) + 2 * memory.parameters) /
                machine.bandwidth;
  plan.utilisation = model_flops / (plan.step() * machine.flops * ranks);
}

}  // namespace

Layout layout_of(const RunConfiguration& c, const MeshShape& mesh) {
  return {mesh,
          static_cast<int>(c.zero),
          c.micro_batch,
          burrow::parse_rematerialization(c.rematerialize),
          static_cast<int>(c.chunks),
          c.sequence_parallel};
}

void require_divisible(const RunConfiguration& c, const Layout& layout) {
  if (const std::string why = obstacle(c, layout); !why.empty()) throw ConfigError(why);
}

double Plan::step() const { return compute + data_exchange + tensor_exchange + pipeline_exchange + update; }

const Machine& machine_called(std::string_view name) {
  std::string all;
  for (const Machine& machine : machines) {
    if (machine.name == name) return machine;
    all += (all.empty() ? "" : ", ") + std::string(machine.name);
  }
  throw ConfigError("there is no machine " + std::string(name) + ", only " + all + ".");
}

burrow::ParameterCounts rank_parameters(const RunConfiguration& c, const Layout& layout, int stage,
                                        int tensor_rank) {
  return PlanParts{c, layout}.parameters(stage, tensor_rank);
}

Plan plan(const RunConfiguration& c, const Layout& layout, const Machine& machine) {
  require_divisible(c, layout);
  const PlanParts parts{c, layout};
  Plan result;
  result.layout = layout;
  result.micro_batches = parts.micro_batches();
  result.stage_layers = stage_layers(c.size, layout.mesh.pipeline, layout.own_stages(), layout.rematerialize);
  result.memory = most_memory(parts);
  result.state = state_bytes(c).total();
  result.messages = messages_of(parts);
  predict_time(result, parts, machine);
  return result;
}

std::vector<Plan> best_plans(const RunConfiguration& c, Index ranks, const Machine& machine,
                             std::size_t count) {
  std::vector<Plan> found;
  const Index sequences = c.batch_tokens / c.size.context;
  const auto add_first_that_fits = [&](Layout layout) {
    if (!obstacle(c, layout).empty()) return;
    for (const auto rematerialize : {Rematerialization::selective(), Rematerialization::block(),
                                     Rematerialization::every(2), Rematerialization::every(4)}) {
      layout.rematerialize = rematerialize;
      const Plan one = plan(c, layout, machine);
      if (one.fits(machine)) return found.push_back(one);
    }
  };
  for (Index tensor = 1; tensor <= std::min(ranks, c.size.heads); ++tensor)
    for (Index pipeline = 1; pipeline <= std::min(ranks / tensor, c.size.layers); ++pipeline) {
      const Index data = ranks / tensor / pipeline;
      if (data * tensor * pipeline != ranks || sequences % data != 0) continue;
      const MeshShape mesh{static_cast<int>(data), static_cast<int>(pipeline), static_cast<int>(tensor)};
      for (Index micro_batch = 1; micro_batch <= sequences / data; micro_batch *= 2)
        for (int chunks = 1; chunks <= (pipeline > 1 ? 4 : 1); chunks *= 2)
          for (const bool rows : {false, true})
            if (sequences / data % micro_batch == 0 && (!rows || tensor > 1))
              add_first_that_fits({mesh, 1, micro_batch, {}, chunks, rows});
    }
  std::stable_sort(found.begin(), found.end(),
                   [](const Plan& a, const Plan& b) { return a.step() < b.step(); });
  if (found.size() > count) found.resize(count);
  return found;
}

}  // namespace gopher
