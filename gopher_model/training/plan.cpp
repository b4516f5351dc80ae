#include "gopher_model/training/plan.hpp"

#include <algorithm>
#include <cmath>

#include <burrow/distributed/sharded.hpp>

#include "gopher_model/model/accounting.hpp"

namespace gopher {
namespace {

using burrow::MeshShape;
using burrow::Rematerialization;

double real(Index value) { return static_cast<double>(value); }

// The part of `count` things that rank `r` of `ranks` has, as parallel layers and stages divide them.
Index part(Index count, int r, int ranks) { return count * (r + 1) / ranks - count * r / ranks; }

// What one rank has of `count` values that data ranks divide bucket by bucket, as `Sharded` does; the first
// has most.
Index first_share(Index count, int ranks) {
  const Index bucket = burrow::ShardingOptions{}.bucket_elements;
  return count / bucket * burrow::Partition{bucket, ranks}.size(0) +
         burrow::Partition{count % bucket, ranks}.size(0);
}

// Numbers of parameters that the rank of a stage and of a tensor group has, in their order in the model.
struct RankParts {
  Index before, block, blocks, after;
  Index all() const { return before + blocks * block + after; }
};

RankParts rank_parts(const ModelSize& size, int stage, int stages, int tensor_rank, int tensor_ranks) {
  const Index d = size.width, a = size.head_width * part(size.heads, tensor_rank, tensor_ranks);
  const Index f = part(size.feed_forward, tensor_rank, tensor_ranks);
  const Index v = part(size.vocabulary, tensor_rank, tensor_ranks);
  const bool first = stage == 0, last = stage + 1 == stages;
  return {.before = first || last ? v * d : 0,
          .block = 5 * d * a + 2 * a + d + 2 * d * f + f + d + 2 * d,
          .blocks = part(size.layers, stage, stages),
          .after = last ? v + d : 0};
}

// What the first data rank updates of them.
Index updated(const RankParts& parts, const Layout& layout) {
  const int ranks = layout.mesh.data;
  if (ranks == 1 || layout.zero == 0) return parts.all();
  if (layout.zero < 3) return first_share(parts.all(), ranks);
  return first_share(parts.before, ranks) + parts.blocks * burrow::Partition{parts.block, ranks}.size(0) +
         first_share(parts.after, ranks);
}

void require(bool holds, const std::string& sentence) {
  if (!holds) throw ConfigError(sentence);
}

void require_divisible(const RunConfiguration& c, const Layout& layout) {
  const MeshShape& mesh = layout.mesh;
  const std::string name = "mesh " + mesh.text() + ": ";
  const Index unit = c.size.context * layout.micro_batch * mesh.data;
  require(c.batch_tokens % unit == 0,
          name + "batch_tokens must be a multiple of context x micro_batch x data ranks = " +
              std::to_string(unit) + ", not " + std::to_string(c.batch_tokens) + ".");
  require_divisible_model(c.size, mesh);
}

MemoryPlan memory_of(const RunConfiguration& c, const Layout& layout, int stage, Index micro_batches) {
  const MeshShape& mesh = layout.mesh;
  RankParts parts{};
  for (int t = 0; t < mesh.tensor; ++t)
    if (const auto some = rank_parts(c.size, stage, mesh.pipeline, t, mesh.tensor); some.all() > parts.all())
      parts = some;
  const Index count = parts.all(), own = updated(parts, layout);
  const StateBytes whole = state_bytes(c.size, c.precision);
  const Index all = parameters(c.size).full();  // StateBytes are multiples of it
  const bool divided = layout.zero >= 2 && mesh.data > 1, by_block = layout.zero == 3 && mesh.data > 1;
  const Index share = burrow::Partition{parts.block, mesh.data}.size(0);
  const Index held = by_block ? parts.before + parts.blocks * share + parts.after : count;
  const Index gathered = std::min<Index>(2, parts.blocks) * (parts.block - share);
  const Index fresh = by_block && mesh.pipeline == 1
                          ? parts.before + std::min<Index>(2, parts.blocks) * parts.block + parts.after
                          : count;
  const Index moments = c.optimizer == OptimizerKind::sgd ? whole.moments / all / 2 : whole.moments / all;
  MemoryPlan memory{.parameters = whole.parameters / all * held,
                    .gathered = by_block ? whole.parameters / all * gathered : 0,
                    .gradients = whole.gradients / all * (divided ? own : count),
                    .fresh_gradients = divided ? whole.gradients / all * fresh : 0,
                    .master = whole.master / all * own,
                    .moments = moments * own};
  // Data ranks divide what they all have, and each writes its share.
  if (copies_checkpoints(c))
    memory.checkpoint_copy = (whole.parameters / all + whole.master / all + moments) *
                             (mesh.data == 1 ? count : first_share(count, mesh.data));
  const Index in_flight = std::min<Index>(mesh.pipeline - stage, micro_batches);
  ModelSize part_of_model = c.size;
  part_of_model.layers = part(c.size.layers, stage, mesh.pipeline);
  part_of_model.heads = (c.size.heads + mesh.tensor - 1) / mesh.tensor;
  part_of_model.feed_forward = (c.size.feed_forward + mesh.tensor - 1) / mesh.tensor;
  part_of_model.vocabulary =
      stage + 1 == mesh.pipeline ? (c.size.vocabulary + mesh.tensor - 1) / mesh.tensor : 0;
  memory.activations = real(in_flight) *
                       activation_bytes(part_of_model, layout.micro_batch, c.precision, layout.rematerialize);
  return memory;
}

MessagePlan messages_of(const RunConfiguration& c, const Layout& layout, Index micro_batches) {
  const MeshShape& mesh = layout.mesh;
  const auto bytes = state_bytes(c.size, c.precision);
  const Index per_parameter = bytes.parameters / parameters(c.size).full();
  // By the groups of data ranks, one to a stage and tensor rank; in blocks that are gathered in each pass,
  // but for the last one, which stays for the backward pass.
  Index held = 0, passed = 0, outside = 0;
  for (int s = 0; s < mesh.pipeline; ++s)
    for (int t = 0; t < mesh.tensor; ++t) {
      const RankParts parts = rank_parts(c.size, s, mesh.pipeline, t, mesh.tensor);
      held += parts.all();
      passed += (2 * parts.blocks - 1) * parts.block;
      outside += parts.before + parts.after;
    }
  const Index others = mesh.data - 1, groups = mesh.pipeline * mesh.tensor;
  const Index world = mesh.ranks();
  MessagePlan plan;
  // The loss, and with a divided optimizer the norm; then three numbers of all ranks.
  plan.all_reduce = 2 * 8 * ((layout.zero > 0 ? 2 : 1) * others * groups + 3 * (world - 1));
  if (layout.zero == 0)
    plan.all_reduce += 2 * 4 * held * others;
  else
    plan.all_gather = per_parameter * others * (layout.zero == 3 ? micro_batches * passed + outside : held);
  // A pipeline reduces what all micro-batches of a step have added up.
  const Index reductions = layout.zero >= 2 && mesh.pipeline == 1 ? micro_batches : 1;
  if (layout.zero > 0) plan.reduce_scatter = 4 * held * others * reductions;

  const double passes = real(micro_batches * mesh.data), tokens = real(layout.micro_batch * c.size.context);
  const double hidden = tokens * real(c.size.width * activation_element_bytes(c.precision));
  const double sums = (layout.rematerialize.blocks() > 0 ? 6 : 4) * real(c.size.layers) + 2;
  plan.tensor = passes * 2 * (mesh.tensor - 1) * (sums * hidden + 3 * 4 * tokens);
  plan.pipeline = passes * 2 * (mesh.pipeline - 1) * hidden * mesh.tensor;
  if (mesh.pipeline > 1) plan.pipeline += mesh.data * 2 * 4 * real(c.size.vocabulary * c.size.width);
  return plan;
}

// Seconds for which `bytes` that all ranks together send keep each of them, of which `groups` go on at once.
double seconds(double bytes, const Machine& machine, int ranks, bool near) {
  return bytes / ranks / (near ? machine.near : machine.far);
}

void predict_time(Plan& plan, const RunConfiguration& c, const Machine& machine) {
  const MeshShape& mesh = plan.layout.mesh;
  const int ranks = mesh.ranks();
  const double tokens = real(c.batch_tokens), all = machine.flops * machine.efficiency * ranks;
  const double model_flops = model_flops_per_token(c.size) * tokens;
  const double forward = model_flops / 3,
               busy = model_flops + (plan.layout.rematerialize.blocks() > 0 ? forward : 0);
  plan.bubble = real(mesh.pipeline - 1) / real(plan.micro_batches + mesh.pipeline - 1);
  plan.compute = busy / all / (1 - plan.bubble);
  plan.tensor_exchange = seconds(plan.messages.tensor, machine, ranks, mesh.tensor <= machine.group);
  plan.pipeline_exchange = seconds(plan.messages.pipeline, machine, ranks, ranks <= machine.group);
  const auto& m = plan.messages;
  const double gradients = real(m.all_reduce + m.reduce_scatter), gathered = real(m.all_gather);
  const bool near = mesh.tensor * mesh.data <= machine.group;
  // Gradients are added while the last micro-batch's backward pass goes on; what it does not cover is waited
  // for.
  const double covered = 2 * forward / all / real(plan.micro_batches);
  plan.data_exchange = std::max(0.0, seconds(gradients, machine, ranks, near) - covered) +
                       seconds(gathered, machine, ranks, near);
  const MemoryPlan& memory = plan.memory;
  plan.update = real(memory.gradients + 2 * (memory.master + memory.moments) + 2 * memory.parameters) /
                machine.bandwidth;
  plan.utilisation = model_flops / (plan.step() * machine.flops * ranks);
}

}  // namespace

void require_divisible_model(const ModelSize& size, const MeshShape& mesh) {
  const auto enough = [&](Index count, const char* things, int ranks, const char* parts) {
    require(count >= ranks, "mesh " + mesh.text() + ": " + std::to_string(count) + " " + things +
                                " are not enough for " + std::to_string(ranks) + " " + parts + ".");
  };
  enough(size.layers, "layers", mesh.pipeline, "stages");
  enough(size.heads, "heads", mesh.tensor, "tensor ranks");
  enough(size.feed_forward, "feed-forward columns", mesh.tensor, "tensor ranks");
  enough(size.vocabulary, "tokens of the vocabulary", mesh.tensor, "tensor ranks");
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

Index rank_parameters(const ModelSize& size, int stage, int stages, int tensor_rank, int tensor_ranks) {
  return rank_parts(size, stage, stages, tensor_rank, tensor_ranks).all();
}

Plan plan(const RunConfiguration& c, const Layout& layout, const Machine& machine) {
  require_divisible(c, layout);
  Plan result;
  result.layout = layout;
  const MeshShape& mesh = layout.mesh;
  result.micro_batches = c.batch_tokens / (c.size.context * layout.micro_batch * mesh.data);
  for (int stage = 0; stage < mesh.pipeline; ++stage) {
    const MemoryPlan memory = memory_of(c, layout, stage, result.micro_batches);
    if (memory.total() > result.memory.total()) result.memory = memory;
  }
  result.state = state_bytes(c.size, c.precision).total();
  result.messages = messages_of(c, layout, result.micro_batches);
  predict_time(result, c, machine);
  return result;
}

std::vector<Plan> best_plans(const RunConfiguration& c, Index ranks, const Machine& machine,
                             std::size_t count) {
  std::vector<Plan> found;
  const Index sequences = c.batch_tokens / c.size.context;
  for (Index tensor = 1; tensor <= std::min(ranks, c.size.heads); ++tensor)
    for (Index pipeline = 1; pipeline <= std::min(ranks / tensor, c.size.layers); ++pipeline) {
      const Index data = ranks / tensor / pipeline;
      if (data * tensor * pipeline != ranks || sequences % data != 0) continue;
      for (Index micro_batch = 1; micro_batch <= sequences / data; micro_batch *= 2)
        for (const auto rematerialize : {Rematerialization::selective(), Rematerialization::block(),
                                         Rematerialization::every(2), Rematerialization::every(4)}) {
          if (sequences / data % micro_batch != 0) continue;
          const MeshShape mesh{static_cast<int>(data), static_cast<int>(pipeline), static_cast<int>(tensor)};
          const Plan one = plan(c, {mesh, 1, micro_batch, rematerialize}, machine);
          if (!one.fits(machine)) continue;
          found.push_back(one);
          break;
        }
    }
  std::stable_sort(found.begin(), found.end(),
                   [](const Plan& a, const Plan& b) { return a.step() < b.step(); });
  if (found.size() > count) found.resize(count);
  return found;
}

}  // namespace gopher
