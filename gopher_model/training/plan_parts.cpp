#include "gopher_model/training/plan_parts.hpp"

#include <algorithm>

#include "gopher_model/model/stage_layers.hpp"

namespace gopher {

PlanParts::PlanParts(const RunConfiguration& c, const Layout& layout)
    : configuration_{c}, layout_{layout}, sequences_{c.batch_tokens / c.size.context / layout.mesh.data} {
  const int ranks = layout.mesh.pipeline;
  const auto layers = stage_layers(c.size, ranks, layout.own_stages(), layout.rematerialize);
  chunk_blocks_.resize(static_cast<std::size_t>(ranks));
  for (std::size_t s = 0; s < layers.size(); ++s)
    chunk_blocks_[s % static_cast<std::size_t>(ranks)].push_back(layers[s]);
  schedule_ = schedule_of(std::min<Index>(micro_batches(), 2 * ranks));
}

burrow::ParameterCounts PlanParts::parameters(int stage, int tensor_rank) const {
  const int ranks = mesh().tensor;
  const Index d = size().width, a = size().head_width * even_part(size().heads, tensor_rank, ranks);
  const Index f = even_part(size().feed_forward, tensor_rank, ranks);
  const Index v = even_part(size().vocabulary, tensor_rank, ranks);
  const bool first = stage == 0, last = stage + 1 == mesh().pipeline;
  burrow::ParameterCounts counts{.before = first || last ? v * d : 0,
                                 .block = 5 * d * a + 2 * a + d + 2 * d * f + f + d + 2 * d,
                                 .after = last ? v + d : 0};
  for (const Index blocks : chunk_blocks(stage)) counts.blocks += blocks;
  return counts;
}

burrow::ShardingPlan PlanParts::sharding(int stage, int tensor_rank) const {
  const int ranks = mesh().data;
  return {parameters(stage, tensor_rank), ranks, {.stage = ranks == 1 ? 0 : layout_.zero}};
}

burrow::BlockPassages PlanParts::passages(int stage) const {
  if (layout_.zero < 3 || mesh().data == 1) return {};
  return block_passages(schedule_of(micro_batches()), stage, chunk_blocks(stage), layout_.rematerialize);
}

burrow::PipelineSchedule PlanParts::schedule_of(Index micro_batches) const {
  return burrow::pipeline_schedule(mesh().pipeline, layout_.own_stages(), micro_batches);
}

StateBytes bytes_of_parameter(const RunConfiguration& c) {
  const StateBytes all = state_bytes(c);
  const Index count = parameters(c.size).full();
  return {all.parameters / count, all.master / count, all.moments / count, all.gradients / count};
}

}  // namespace gopher
