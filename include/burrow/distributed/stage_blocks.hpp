// The blocks that a rank of a pipeline has, by the numbers that they have in the whole model.
#pragma once

#include <burrow/distributed/stage_division.hpp>
#include <burrow/nn/combinators.hpp>

namespace burrow {

/// Blocks of a model that lie in a rank's stages: contiguous ones in each.
template <class Block>
struct StageBlocks {
  using module_type = Block;
  std::vector<Block> blocks;         ///< of this rank, in order
  std::vector<std::size_t> numbers;  ///< of the blocks in the whole model
  std::vector<std::size_t> bounds;   ///< chunk c has the blocks from bounds[c] on, up to bounds[c + 1]
  Rematerialization rematerialize{};

  /// Of all blocks of a model, those of the stages that `rank` has, chunks of them, as even as their number
  /// allows. Throws ConfigError where there are fewer blocks than stages.
  template <class Blocks>
  static StageBlocks of(Blocks&& all, int rank, int ranks, int chunks, Rematerialization rematerialize) {
    return of(all, rank, ranks, even_stages(static_cast<Index>(all.size()), ranks * chunks), rematerialize);
  }
  /// The same where stage s has blocks_of_stages[s] of them.
  template <class Blocks>
  static StageBlocks of(Blocks&& all, int rank, int ranks, const std::vector<Index>& blocks_of_stages,
                        Rematerialization rematerialize) {
    StageBlocks result{{}, {}, {0}, rematerialize};
    std::size_t first = 0;
    for (std::size_t s = 0; s < blocks_of_stages.size(); ++s) {
      const std::size_t last = first + static_cast<std::size_t>(blocks_of_stages[s]);
      const bool own = s % static_cast<std::size_t>(ranks) == static_cast<std::size_t>(rank);
      for (std::size_t i = first; own && i < last; ++i) {
        result.blocks.push_back(std::move(all[i]));
        result.numbers.push_back(i);
      }
      if (own) result.bounds.push_back(result.blocks.size());
      first = last;
    }
    return result;
  }

  auto& modules() { return blocks; }
  const auto& modules() const { return blocks; }
  std::size_t number(std::size_t i) const { return numbers[i]; }

  /// h through the blocks of a chunk. They keep its type. What comes after h is handed on as by `Repeat`: a
  /// block gets the key that it gets in the whole model.
  template <class H, class... Extra>
  H operator()(int chunk, H h, const Extra&... extra) const {
    const auto c = static_cast<std::size_t>(chunk);
    const detail::ChosenValues chosen{h, rematerialize};
    return detail::through_blocks(*this, bounds[c], bounds[c + 1], std::move(h), extra...);
  }
};

}  // namespace burrow
