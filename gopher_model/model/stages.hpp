// The part of a Gopher model that a rank of a pipeline has: some blocks, and at the ends the embedding, the
// last norm and the output.
#pragma once

#include <optional>

#include <burrow/distributed/pipeline.hpp>
#include <burrow/distributed/stage_blocks.hpp>

#include "gopher_model/model/gopher.hpp"

namespace gopher {

/// Stages of a Gopher, with the names and elements that its members have in the whole model. The first stage
/// and the last both have the table of the tied embedding; the first counts it.
template <ModelSize Size, class Policy>
struct GopherStages {
  using hidden_type = Tensor<typename Policy::compute, Shape<dyn, dyn, Size.width>, typename Policy::device>;

  std::optional<Embedding<Size.vocabulary, Size.width, Policy>> embedding;
  StageBlocks<GopherBlock<Size, Policy>> blocks;
  std::optional<RmsNorm<Size.width, Policy>> final_norm;
  std::optional<TiedOutput<Size.vocabulary, Policy>> output;
  Index width = 0;
  int row_parts = 1;  ///< in which hidden values are divided among ranks

  /// Of a whole model without elements yet, the stages of `rank`: chunks of them, as in PipelineSchedule,
  /// with as many blocks in each as their number allows. Throws ConfigError where there are fewer blocks than
  /// stages.
  static GopherStages of(Gopher<Size, Policy> whole, int rank, int ranks, int chunks = 1) {
    const auto count = static_cast<Index>(whole.blocks.blocks.size());
    return of(std::move(whole), rank, ranks, even_stages(count, ranks * chunks));
  }
  /// The same where stage s has blocks_of_stages[s] of the blocks.
  static GopherStages of(Gopher<Size, Policy> whole, int rank, int ranks,
                         const std::vector<Index>& blocks_of_stages) {
    GopherStages stages;
    stages.width = whole.embedding.table.shape()[1];
    stages.blocks = StageBlocks<GopherBlock<Size, Policy>>::of(whole.blocks.blocks, rank, ranks,
                                                               blocks_of_stages, whole.blocks.rematerialize);
    const bool last = rank == ranks - 1;
    if (rank == 0 || last) stages.embedding = std::move(whole.embedding);
    if (last) {
      stages.final_norm = std::move(whole.final_norm);
      stages.output = std::move(whole.output);
    }
    for_each_parameter(stages, [](const std::string& name, auto& p) {
      p.set_share({true, burrow::detail::draws_of(name)});
    });
    if (last && rank != 0) stages.embedding->table.set_share({false, stages.embedding->table.share().draws});
    return stages;
  }

  /// Tokens [B, T] to the values that enter the blocks, [B, T, width].
  auto enter(const auto& tokens) const { return (*embedding)(tokens); }
  template <class H>
  H pass(int chunk, const H& h) const {
    return blocks(chunk, h);
  }
  auto loss(const auto& h, const auto& targets) const {
    return output->loss((*final_norm)(h), *embedding, targets);
  }
  auto hidden_shape(const auto& tokens) const {
    return typename hidden_type::shape_type{{tokens.shape()[0], tokens.shape()[1] / row_parts, width}};
  }
  /// Hidden values have one of `parts` equal parts of the rows.
  void take_rows(int, int parts) { row_parts = parts; }
  /// The parameters that the first and the last stage both have.
  void for_each_tied(const auto& f) const {
    if (embedding) f(embedding->table);
  }
};

}  // namespace gopher
