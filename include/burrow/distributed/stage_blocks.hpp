// The blocks that a rank of a pipeline has, by the numbers that they have in the whole model.
#pragma once

#include <burrow/distributed/schedule.hpp>
#include <burrow/nn/combinators.hpp>

namespace burrow {

/// Blocks of a model that lie in a rank's stages: contiguous ones in each, as even as their number allows.
template <class Block>
struct StageBlocks {
  using module_type = Block;
  std::vector<Block> blocks;         ///< of this rank, in order
  std::vector<std::size_t> numbers;  ///< of the blocks in the whole model
  std::vector<std::size_t> bounds;   ///< chunk c has the blocks from bounds[c] on, up to bounds[c + 1]
  Rematerialization rematerialize{};

  /// Of all blocks of a model, those of the stages that `rank` has. Throws ConfigError where there are fewer
  /// blocks than stages.
  template <class Blocks>
  static StageBlocks of(Blocks&& all, int rank, int ranks, int chunks, Rematerialization rematerialize) {
    const auto stages = static_cast<std::size_t>(ranks * chunks), count = all.size();
    if (count < stages)
      throw ConfigError("pipeline: " + std::to_string(count) + " blocks are not enough for " +
                        std::to_string(stages) + " stages");
    StageBlocks result{{}, {}, {0}, rematerialize};
    for (auto s = static_cast<std::size_t>(rank); s < stages; s += static_cast<std::size_t>(ranks)) {
      for (std::size_t i = count * s / stages; i < count * (s + 1) / stages; ++i) {
        result.blocks.push_back(std::move(all[i]));
        result.numbers.push_back(i);
      }
      result.bounds.push_back(result.blocks.size());
    }
    return result;
  }

  auto& modules() { return blocks; }
  const auto& modules() const { return blocks; }
  std::size_t number(std::size_t i) const { return numbers[i]; }

  /// h through the blocks of a chunk. They keep its type.
  template <class H>
  H operator()(int chunk, H h) const {
    const auto c = static_cast<std::size_t>(chunk);
    const detail::ChosenValues chosen{h, rematerialize};
    return detail::through_blocks(blocks, bounds[c], bounds[c + 1], rematerialize, std::move(h));
  }
};

}  // namespace burrow
