// Parameters of blocks that are whole on a rank only while they are needed (ZeRO stage 3).
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include <burrow/autodiff/parameter_store.hpp>
#include <burrow/core/pages.hpp>
#include <burrow/distributed/communicator.hpp>

namespace burrow::detail {

/// What a passage through block `b` of `count` asks for at a moment: need(b) as it begins, and fetch(b') for
/// the block that comes next; give_back(b) as it ends. The last block stays for the backward pass, which
/// begins with it, and so do blocks that are computed again.
template <class Need, class Fetch, class GiveBack>
void follow_passage(ParameterKeeper::Moment moment, std::size_t b, std::size_t count, const Need& need,
                    const Fetch& fetch, const GiveBack& give_back) {
  using Moment = ParameterKeeper::Moment;
  switch (moment) {
    case Moment::forward_begins:
      need(b);
      if (b + 1 < count) fetch(b + 1);
      break;
    case Moment::again_begins:
      need(b);
      break;
    case Moment::backward_begins:
      need(b);
      if (b > 0) fetch(b - 1);
      break;
    case Moment::forward_ends:
      if (b + 1 < count) give_back(b);
      break;
    case Moment::again_ends:
      break;
    case Moment::backward_ends:
      give_back(b);
  }
}

/// The blocks of a flat buffer of parameters, of each of which this rank always has its own part. A block is
/// gathered when a pass enters it, while the one before it computes, and given back when the pass leaves.
template <class P, Communicator C>
class GatheredBlocks final : public ParameterKeeper {
 public:
  GatheredBlocks(C ranks, std::shared_ptr<ParameterStore> store)
      : ranks_{std::move(ranks)}, store_{std::move(store)} {
    store_->keeper = this;
  }
  ~GatheredBlocks() override { store_->keeper = nullptr; }

  /// A block of the elements that `parts` divides, from `begin` on, in the order of the buffer.
  void add(Index begin, const Partition& parts) { blocks_.push_back({begin, parts, true, {}}); }

  /// Gathers all of them, or gives all back.
  void gather_all() {
    for (std::size_t b = 0; b < blocks_.size(); ++b) begin_to_gather(b);
    for (std::size_t b = 0; b < blocks_.size(); ++b) need(b);
  }
  void give_back_all() {
    for (std::size_t b = 0; b < blocks_.size(); ++b) give_back(b);
  }

  void at(Moment moment, Index offset) override {
    const auto found = std::find_if(blocks_.begin(), blocks_.end(),
                                    [&](const Block& block) { return block.begin == offset; });
    const bool begins = moment == Moment::forward_begins || moment == Moment::again_begins ||
                        moment == Moment::backward_begins;
    if (inner_ > 0 || (begins && open_)) {  // a block within a block
      inner_ += begins ? 1 : -1;
      return;
    }
    if (found == blocks_.end()) return;
    open_ = begins;
    follow_passage(
        moment, static_cast<std::size_t>(found - blocks_.begin()), blocks_.size(),
        [this](std::size_t b) { need(b); }, [this](std::size_t b) { begin_to_gather(b); },
        [this](std::size_t b) { give_back(b); });
  }

 private:
  struct Block {
    Index begin;
    Partition parts;
    bool present;  // or on its way
    Pending gathering;
  };

  std::span<P> whole(const Block& block) const {
    return {static_cast<P*>(store_->storage.data()) + block.begin,
            static_cast<std::size_t>(block.parts.count())};
  }
  void begin_to_gather(std::size_t b) {
    Block& block = blocks_[b];
    if (std::exchange(block.present, true)) return;
    const auto values = whole(block);
    bring_back(values.data(), static_cast<Index>(values.size_bytes()));
    block.gathering =
        ranks_.template start_all_gather<P>(block.parts.part(values, ranks_.rank()), values, block.parts);
  }
  void need(std::size_t b) {
    begin_to_gather(b);
    blocks_[b].gathering.wait();
  }
  void give_back(std::size_t b) {
    Block& block = blocks_[b];
    if (!block.present) return;
    block.gathering.wait();
    block.present = false;
    const auto values = whole(block);
    const Index first = block.parts.begin(ranks_.rank()), last = block.parts.end(ranks_.rank());
    discard(values.data(), first * Index{sizeof(P)});
    discard(values.data() + last, (block.parts.count() - last) * Index{sizeof(P)});
  }

  C ranks_;
  std::shared_ptr<ParameterStore> store_;
  std::vector<Block> blocks_;
  bool open_ = false;
  Index inner_ = 0;
};

}  // namespace burrow::detail
