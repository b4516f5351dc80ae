// The blocks that storage is made of, and the pools that keep them. Freed blocks are kept by size class and
// used again, so that a training step allocates nothing from the system once it is warm. An unused large
// block is cut where a smaller one is missing, and is whole again when its parts are unused. Large blocks ask
// for huge pages, as many as they fill, and keep them.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/core/locks.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// What a pool did so far. Bytes are those of whole blocks.
struct MemoryStatistics {
  Index system_allocations = 0;  ///< how often the system was asked
  Index bytes_from_system = 0;   ///< held now, in use or kept for later
  Index bytes_in_use = 0;        ///< by tensors that live
  Index peak_bytes_in_use = 0;   ///< the most of these at one time
  Index value_bytes_in_use = 0;  ///< of these without scratch memory: the same whatever the threads
  Index peak_value_bytes = 0;    ///< the most of these at one time
};

/// What memory is for: values, which are tensors and what is kept for backward passes; or scratch, which is
/// what operations and exchanges need while they run, and the records of tapes.
enum class MemoryUse { values, scratch };

namespace detail {

struct KeptBlocks;

struct Block {
  void* data = nullptr;
  Index bytes = 0;
  std::atomic<int> references{0};
  int size_class = 0;
  Block* next = nullptr;
  void (*release)(Block*) = nullptr;
  bool read_only = false;  // never written in place: whoever wants to write makes a copy
  KeptBlocks* keeper = nullptr;
  bool idle = false;    // of a keeper's, in nobody's hands
  bool unused = false;  // in the pool's own lists
  MemoryUse use = MemoryUse::values;
  Block* whole = nullptr;  // what it was cut from
  Block* other = nullptr;  // the other part of that
};

/// Size classes of blocks: eight to a factor of two.
inline constexpr std::size_t block_classes = 8 * 48;

/// Blocks of a computation that is repeated with the same addresses: they go back to the pool's other users
/// when all of it is over.
struct KeptBlocks {
  std::array<Block*, block_classes> free{};
  std::vector<Block*> all;
};

/// Where the host's blocks come from.
struct HostMemory {
  static constexpr const char* owner = "the system";

  /// Memory for a block, or null.
  static void* take(Index bytes) {
    const bool huge = bytes >= huge_page;
    const Index rounded = huge ? (bytes + huge_page - 1) / huge_page * huge_page : bytes;
    void* const data = std::aligned_alloc(static_cast<std::size_t>(huge ? huge_page : 64),
                                          static_cast<std::size_t>(rounded));
    // A huge page that is filled in part would take memory that nobody uses: its part comes in small ones.
    if (huge && data != nullptr)
      madvise(data, static_cast<std::size_t>(bytes / huge_page * huge_page), MADV_HUGEPAGE);
    return data;
  }
  static void give_back(void* data) { std::free(data); }
  /// Whether memory can be given back now.
  static bool may_give_back() { return true; }

 private:
  static constexpr Index huge_page = Index{2} << 20;
};

/// Blocks of one kind of memory by size class: eight classes to a factor of two, 64 bytes at least.
template <class Memory>
class BlockPool {
 public:
  [[gnu::noinline]] static BlockPool& instance() {
    static BlockPool* const pool = new BlockPool;  // outlives every static tensor
    return *pool;
  }

  [[gnu::noinline]] Block* allocate(Index bytes, MemoryUse use = MemoryUse::values) {
    if (bytes > largest_block) throw out_of_memory(bytes);
    const int size_class = class_of(bytes);
    const Hold lock{lock_};
    if (keeper_ != nullptr)
      if (Block* const kept = pop(keeper_->free, size_class)) {
        kept->idle = false;
        kept->references.store(1, std::memory_order_relaxed);
        return kept;
      }
    Block* block = take_unused(size_class);
    if (block == nullptr) block = cut(size_class);
    if (block == nullptr) block = from_system(size_class);
    if (keeper_ != nullptr) adopt(block);
    block->references.store(1, std::memory_order_relaxed);
    block->use = use;
    count(*block, block->bytes);
    return block;
  }

  [[gnu::noinline]] void release(Block* block) {
    const Hold lock{lock_};
    if (block->keeper != nullptr) {
      block->idle = true;
      return push(block->keeper->free, block);
    }
    if (keeper_ != nullptr) {  // the computation may have read it: nobody writes to it
      adopt(block);
      block->idle = true;
      return;
    }
    count(*block, -block->bytes);
    put_back(block);
  }

  /// From now on, blocks that are allocated or released are kept for `keeper`, which outlives this; null ends
  /// it.
  void keep_in(KeptBlocks* keeper) {
    const Hold lock{lock_};
    keeper_ = keeper;
  }
  /// Takes back what was kept. Blocks that are in use return when they are released.
  void give_back(KeptBlocks& keeper) {
    const Hold lock{lock_};
    for (Block* const block : keeper.all) {
      block->keeper = nullptr;
      if (!std::exchange(block->idle, false)) continue;
      count(*block, -block->bytes);
      put_back(block);
    }
    keeper = {};
  }

  MemoryStatistics statistics() {
    const Hold lock{lock_};
    return statistics_;
  }

  /// The bytes of the block that whoever asks for `bytes` gets.
  static Index bytes_of_block(Index bytes) { return block_bytes(class_of(bytes)); }

  void reset_peak() {
    const Hold lock{lock_};
    statistics_.peak_bytes_in_use = statistics_.bytes_in_use;
    statistics_.peak_value_bytes = statistics_.value_bytes_in_use;
  }

  /// Returns unused blocks to the system; not those that are parts of one in use.
  void trim() {
    const Hold lock{lock_};
    give_back_unused();
  }

 private:
  using FreeBlocks = std::array<Block*, block_classes>;

  void give_back_unused() {
    for (Block*& head : free_)
      for (Block** place = &head; *place != nullptr;) {
        Block* const block = *place;
        if (block->whole != nullptr) {
          place = &block->next;
          continue;
        }
        *place = block->next;
        statistics_.bytes_from_system -= block->bytes;
        Memory::give_back(block->data);
        delete block;
      }
  }

  static Block* pop(FreeBlocks& lists, int size_class) {
    Block*& head = lists[static_cast<std::size_t>(size_class)];
    return head == nullptr ? nullptr : std::exchange(head, head->next);
  }
  static void push(FreeBlocks& lists, Block* block) {
    Block*& head = lists[static_cast<std::size_t>(block->size_class)];
    block->next = std::exchange(head, block);
  }
  Block* take_unused(int size_class) {
    Block* const block = pop(free_, size_class);
    if (block != nullptr) block->unused = false;
    return block;
  }

  /// Puts a block into the lists. Two parts that are both there become the block that they were.
  void put_back(Block* block) {
    while (block->other != nullptr && block->other->unused) {
      Block** place = &free_[static_cast<std::size_t>(block->other->size_class)];
      while (*place != block->other) place = &(*place)->next;
      *place = block->other->next;
      Block* const whole = block->whole;
      for (Block* const part : {block->other, block}) part->next = std::exchange(spare_, part);
      block = whole;
    }
    block->unused = true;
    push(free_, block);
  }

  /// A part of the smallest unused block that is two to 32 times as large, or null. Small ones are not worth
  /// it, and larger ones are left to who needs them whole.
  Block* cut(int size_class) {
    constexpr Index smallest = Index{4} << 20;
    constexpr int twice = 8;
    const Index bytes = block_bytes(size_class);
    if (bytes < smallest) return nullptr;
    const int largest = std::min(size_class + 5 * twice, static_cast<int>(block_classes) - 1);
    for (int larger = size_class + twice; larger <= largest; ++larger)
      if (Block* const whole = take_unused(larger)) {
        const Index left = whole->bytes - bytes;
        const int at_least_left = class_of(left);
        Block* const first = part_of(whole, 0, size_class);
        Block* const second =
            part_of(whole, bytes, block_bytes(at_least_left) > left ? at_least_left - 1 : at_least_left);
        first->other = second, second->other = first;
        put_back(second);
        return first;
      }
    return nullptr;
  }

  Block* part_of(Block* whole, Index offset, int size_class) {
    Block* const part = spare_ == nullptr ? new Block : std::exchange(spare_, spare_->next);
    part->data = static_cast<std::byte*>(whole->data) + offset;
    part->bytes = block_bytes(size_class);
    part->size_class = size_class;
    part->release = whole->release;
    part->whole = whole;
    part->unused = false;
    return part;
  }

  void count(const Block& block, Index bytes) {
    const auto add = [bytes](Index& now, Index& peak) { peak = std::max(peak, now += bytes); };
    add(statistics_.bytes_in_use, statistics_.peak_bytes_in_use);
    if (block.use == MemoryUse::values) add(statistics_.value_bytes_in_use, statistics_.peak_value_bytes);
  }

  void adopt(Block* block) {
    block->keeper = keeper_;
    keeper_->all.push_back(block);
  }

  static constexpr Index largest_block = Index{1} << 47;  // what processors address

  [[gnu::cold, gnu::noinline]] Error out_of_memory(Index bytes) const {
    return Error(Message{}
                     .add("memory: ")
                     .add(Memory::owner)
                     .add(" has no ")
                     .add(bytes >> 20)
                     .add(" MiB left (")
                     .add(statistics_.bytes_in_use >> 20)
                     .add(" MiB are in use)")
                     .text());
  }

  static int class_of(Index bytes) {
    const auto n = static_cast<std::uint64_t>(std::max<Index>(bytes, 64));
    const int octave = static_cast<int>(std::bit_width(n - 1)) - 1;  // 2^octave < n <= 2^(octave + 1)
    const std::uint64_t step = (std::uint64_t{1} << octave) / 8;
    const auto eighth = static_cast<int>((n - (std::uint64_t{1} << octave) + step - 1) / step);
    return octave * 8 + eighth;
  }

  static Index bytes_of(int size_class) {
    const std::uint64_t base = std::uint64_t{1} << (size_class / 8);
    return static_cast<Index>(base + base / 8 * static_cast<std::uint64_t>(size_class % 8));
  }

  static Index block_bytes(int size_class) { return (bytes_of(size_class) + 63) / 64 * 64; }

  Block* from_system(int size_class) {
    const Index bytes = block_bytes(size_class);
    void* data = Memory::take(bytes);
    if (data == nullptr && Memory::may_give_back()) {  // blocks of other sizes may be what is missing
      give_back_unused();
      data = Memory::take(bytes);
    }
    if (data == nullptr) throw out_of_memory(bytes);
    ++statistics_.system_allocations;
    statistics_.bytes_from_system += bytes;
    auto* const block = new Block;
    block->data = data;
    block->bytes = bytes;
    block->size_class = size_class;
    block->release = [](Block* b) { instance().release(b); };
    return block;
  }

  SpinLock lock_;
  FreeBlocks free_{};
  KeptBlocks* keeper_ = nullptr;
  Block* spare_ = nullptr;  // parts that are whole blocks again
  MemoryStatistics statistics_;
};

using HostPool = BlockPool<HostMemory>;

}  // namespace detail

}  // namespace burrow
