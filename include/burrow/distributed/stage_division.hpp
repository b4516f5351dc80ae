// How the blocks of a model are divided among the stages of a pipeline.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

namespace detail {

inline void require_blocks(Index blocks, Index stages) {
  if (blocks < stages)
    throw ConfigError("pipeline: " + std::to_string(blocks) + " blocks are not enough for " +
                      std::to_string(stages) + " stages");
}

/// `count` things in as equal parts as that allows, the later ones longer.
inline std::vector<Index> even_parts(Index count, Index parts) {
  std::vector<Index> sizes;
  for (Index i = 0; i < parts; ++i) sizes.push_back(count * (i + 1) / parts - count * i / parts);
  return sizes;
}

}  // namespace detail

/// Blocks of each stage, as even as their number allows. Throws ConfigError where there are fewer blocks than
/// stages.
inline std::vector<Index> even_stages(Index blocks, int stages) {
  detail::require_blocks(blocks, stages);
  return detail::even_parts(blocks, stages);
}

/// Blocks of each stage of a pipeline, `chunks` of them on each of `ranks`, so that the fullest rank has as
/// little as that allows, where the end of the model (a last product and its loss, say) takes as long as
/// `end` blocks. Each stage has a block, but for the last one, where there is an end. Throws ConfigError
/// where there are fewer blocks than stages.
inline std::vector<Index> balanced_stages(Index blocks, int ranks, int chunks, double end) {
  const Index stages = Index{ranks} * chunks;
  detail::require_blocks(blocks, stages);
  if (ranks == 1) return even_stages(blocks, chunks);
  const auto real = [](Index count) { return static_cast<double>(count); };
  const Index others = ranks - 1, least = end > 0 ? chunks - 1 : chunks;
  Index last = least;  // blocks of the last rank
  double fullest = 0;
  for (Index n = least; n <= blocks - others * chunks; ++n) {
    const double most = std::max(real((blocks - n + others - 1) / others), real(n) + end);
    if (n > least && most > fullest) continue;
    last = n;
    fullest = most;
  }
  std::vector<std::vector<Index>> of_ranks;
  for (const Index n : detail::even_parts(blocks - last, others))
    of_ranks.push_back(detail::even_parts(n, chunks));
  const double even_end = (real(last) + end) / chunks - end;
  const Index most_at_end = last - (chunks - 1), least_at_end = least - (chunks - 1);
  const Index at_end =
      chunks == 1 ? last : std::clamp(static_cast<Index>(std::lround(even_end)), least_at_end, most_at_end);
  of_ranks.push_back(detail::even_parts(last - at_end, chunks - 1));
  of_ranks.back().push_back(at_end);
  std::vector<Index> result;
  for (int chunk = 0; chunk < chunks; ++chunk)
    for (const auto& own : of_ranks) result.push_back(own[static_cast<std::size_t>(chunk)]);
  return result;
}

}  // namespace burrow
