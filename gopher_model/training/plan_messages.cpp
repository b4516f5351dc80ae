// Messages of a step, counted as the library counts what it sends.
#include <burrow/ops/linear_cross_entropy/cpu.hpp>

#include "gopher_model/training/plan_parts.hpp"

namespace gopher {
namespace {

using burrow::Collective;
using burrow::PlannedTraffic;

constexpr Index float_bytes = 4, number_bytes = 8;

// Bytes of the hidden values of a step on a data rank.
Index hidden_bytes(const PlanParts& parts) {
  return parts.sequences() * parts.size().context * parts.size().width *
         activation_element_bytes(parts.configuration().precision);
}

PlannedTraffic data_messages(const PlanParts& parts) {
  const burrow::MeshShape& mesh = parts.mesh();
  PlannedTraffic sent;
  if (mesh.data == 1) return sent;
  // A pipeline reduces what all micro-batches of a step have added up.
  const bool each = parts.layout().zero >= 2 && mesh.pipeline == 1;
  const StateBytes bytes = bytes_of_parameter(parts.configuration());
  for (int stage = 0; stage < mesh.pipeline; ++stage) {
    const Index gathers = parts.passages(stage).gathers;
    for (int t = 0; t < mesh.tensor; ++t)
      sent += parts.sharding(stage, t).step(each ? parts.micro_batches() : 1, gathers, bytes.parameters,
                                            bytes.gradients);
  }
  const Index groups = mesh.pipeline * mesh.tensor;
  sent.add(Collective::all_reduce, mesh.data, groups * number_bytes, groups);  // of the loss
  return sent;
}

// Sums of what tensor ranks have computed, whole on all of them, or its rows where they divide these.
void add_activations(PlannedTraffic& sent, const PlanParts& parts) {
  const int ranks = parts.mesh().tensor;
  const Layout& layout = parts.layout();
  const Index hidden = hidden_bytes(parts), layers = parts.size().layers;
  const Index passed_again = layout.rematerialize.blocks() > 0 ? 2 * layers : 0;
  // Of a layer two forward and two backward; of the embedding's output and of what enters the last product.
  const Index sums = 4 * layers + 2 + passed_again;
  if (layout.row_parts() == 1)
    return sent.add(Collective::all_reduce, ranks, sums * hidden, sums * parts.micro_batches());
  const Index gathers = sums + (layout.gathers_rows_again() ? 2 * layers : 0);
  sent.add(Collective::reduce_scatter, ranks, sums * hidden, sums * parts.sequences());
  sent.add(Collective::all_gather, ranks, gathers * hidden, gathers * parts.sequences());
  // The gradients of norms, and of biases behind products.
  const Index vectors = (4 * layers + 1) * parts.micro_batches();
  sent.add(Collective::all_reduce, ranks, vectors * float_bytes * parts.size().width, vectors);
}

// Three numbers for each target: those of the largest logit, and of two sums.
void add_losses(PlannedTraffic& sent, const PlanParts& parts) {
  const int ranks = parts.mesh().tensor;
  const Index context = parts.size().context, most = parts.layout().micro_batch;
  const Index words = (parts.size().vocabulary + ranks - 1) / ranks;
  const auto blocks_of_logits = [&](Index sequences) {
    const Index rows = sequences * context;
    const burrow::detail::LogitsBlock block{rows, words, float_bytes, true};
    return (rows + block.rows - 1) / block.rows;
  };
  const Index whole = parts.sequences() / most, rest = parts.sequences() % most;
  const Index blocks = whole * blocks_of_logits(most) + (rest > 0 ? blocks_of_logits(rest) : 0);
  sent.add(Collective::all_reduce, ranks, 3 * float_bytes * parts.sequences() * context, 2 * blocks);
}

PlannedTraffic tensor_messages(const PlanParts& parts) {
  PlannedTraffic sent;
  add_activations(sent, parts);
  add_losses(sent, parts);
  return parts.mesh().data * sent;
}

PlannedTraffic pipeline_messages(const PlanParts& parts) {
  const burrow::MeshShape& mesh = parts.mesh();
  PlannedTraffic sent;
  for (int t = 0; t < mesh.tensor; ++t)
    sent += burrow::pipeline_traffic(mesh.pipeline, parts.layout().own_stages(), parts.micro_batches(),
                                     hidden_bytes(parts) / parts.layout().row_parts(),
                                     float_bytes * parts.parameters(0, t).before);
  return mesh.data * sent;
}

}  // namespace

MessagePlan messages_of(const PlanParts& parts) {
  const burrow::MeshShape& mesh = parts.mesh();
  MessagePlan plan{data_messages(parts), tensor_messages(parts), pipeline_messages(parts), {}};
  plan.all.add(Collective::all_reduce, mesh.pipeline * mesh.tensor, mesh.data * number_bytes, mesh.data);
  plan.all.add(Collective::all_reduce, mesh.ranks(), 3 * number_bytes);
  return plan;
}

}  // namespace gopher
