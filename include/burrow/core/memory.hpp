// Pooled storage. A Buffer is a shared handle to a block; freed blocks are kept by size class and used again,
// so that a training step allocates nothing from the system once it is warm. An unused large block is cut
// where a smaller one is missing, and is whole again when its parts are unused. Large blocks ask for huge
// pages, as many as they fill, and keep them.
#pragma once

#include <sched.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <burrow/core/device.hpp>
#include <burrow/core/error.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// What a pool did so far. Bytes are those of whole blocks.
struct MemoryStatistics {
  Index system_allocations = 0;  ///< how often the system was asked
  Index bytes_from_system = 0;   ///< held now, in use or kept for later
  Index bytes_in_use = 0;        ///< by tensors that live
  Index peak_bytes_in_use = 0;   ///< the most of these at one time
};

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
  bool idle = false;       // of a keeper's, in nobody's hands
  bool unused = false;     // in the pool's own lists
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

/// A lock for sections of a few instructions: it costs one exchange where nobody else is there.
class SpinLock {
 public:
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire))
      for (int spin = 0; held_.load(std::memory_order_relaxed); ++spin)
        if (spin >= 100) sched_yield();
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
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

  [[gnu::noinline]] Block* allocate(Index bytes) {
    if (bytes > largest_block) throw out_of_memory(bytes);
    const int size_class = class_of(bytes);
    const std::lock_guard lock{lock_};
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
    statistics_.bytes_in_use += block->bytes;
    statistics_.peak_bytes_in_use = std::max(statistics_.peak_bytes_in_use, statistics_.bytes_in_use);
    return block;
  }

  [[gnu::noinline]] void release(Block* block) {
    const std::lock_guard lock{lock_};
    if (block->keeper != nullptr) {
      block->idle = true;
      return push(block->keeper->free, block);
    }
    if (keeper_ != nullptr) {  // the computation may have read it: nobody writes to it
      adopt(block);
      block->idle = true;
      return;
    }
    statistics_.bytes_in_use -= block->bytes;
    put_back(block);
  }

  /// From now on, blocks that are allocated or released are kept for `keeper`, which outlives this; null ends
  /// it.
  void keep_in(KeptBlocks* keeper) {
    const std::lock_guard lock{lock_};
    keeper_ = keeper;
  }
  /// Takes back what was kept. Blocks that are in use return when they are released.
  void give_back(KeptBlocks& keeper) {
    const std::lock_guard lock{lock_};
    for (Block* const block : keeper.all) {
      block->keeper = nullptr;
      if (!std::exchange(block->idle, false)) continue;
      statistics_.bytes_in_use -= block->bytes;
      put_back(block);
    }
    keeper = {};
  }

  MemoryStatistics statistics() {
    const std::lock_guard lock{lock_};
    return statistics_;
  }

  void reset_peak() {
    const std::lock_guard lock{lock_};
    statistics_.peak_bytes_in_use = statistics_.bytes_in_use;
  }

  /// Returns unused blocks to the system; not those that are parts of one in use.
  void trim() {
    const std::lock_guard lock{lock_};
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

  void adopt(Block* block) {
    block->keeper = keeper_;
    keeper_->all.push_back(block);
  }

  static constexpr Index largest_block = Index{1} << 47;  // what processors address

  [[gnu::cold, gnu::noinline]] Error out_of_memory(Index bytes) const {
    return Error("memory: " + std::string{Memory::owner} + " has no " + std::to_string(bytes >> 20) +
                 " MiB left (" + std::to_string(statistics_.bytes_in_use >> 20) + " MiB are in use)");
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

/// Zero bytes.
inline void fill_zero(Cpu, void* data, Index bytes) { std::memset(data, 0, static_cast<std::size_t>(bytes)); }
/// A copy from an array on the first device to one on the second; they do not overlap.
inline void copy_bytes(Cpu, Cpu, void* to, const void* from, Index bytes) {
  std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

template <class D>
struct pool_of;
template <>
struct pool_of<Cpu> {
  static HostPool& get() { return HostPool::instance(); }
};

}  // namespace detail

/// A shared, reference-counted handle to a block of some device.
class Storage {
 public:
  Storage() = default;
  explicit Storage(detail::Block* block) : block_{block} {}
  Storage(const Storage& other) noexcept : block_{other.block_} {
    if (block_ != nullptr) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Storage(Storage&& other) noexcept : block_{std::exchange(other.block_, nullptr)} {}
  Storage& operator=(Storage other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Storage() {
    if (block_ != nullptr) drop(block_);
  }

  void* data() const { return block_ == nullptr ? nullptr : block_->data; }
  /// Nobody else sees what is written.
  bool unique() const {
    return block_ == nullptr ||
           (block_->references.load(std::memory_order_acquire) == 1 && !block_->read_only);
  }
  explicit operator bool() const { return block_ != nullptr; }

 private:
  /// Out of line, for storage is dropped in many places. Who holds the only handle need not count.
  [[gnu::noinline]] static void drop(detail::Block* block) noexcept {
    if (block->references.load(std::memory_order_acquire) == 1 ||
        block->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
      block->release(block);
  }

  detail::Block* block_ = nullptr;
};

/// Storage from the pool of device D. Not initialised.
template <class D>
class Buffer : public Storage {
 public:
  Buffer() = default;
  [[gnu::noinline]] explicit Buffer(Index bytes)
      : Storage{bytes > 0 ? detail::pool_of<D>::get().allocate(bytes) : nullptr} {}
  explicit Buffer(Storage storage) : Storage{std::move(storage)} {}
};

namespace detail {
/// What can be done with the memory of a device, for those who do not know its type.
struct DeviceMemory {
  Storage (*allocate)(Index bytes);
  void (*zero)(void* data, Index bytes);
  void (*copy)(void* to, const void* from, Index bytes);
  void (*to_host)(void* to, const void* from, Index bytes);
  void (*from_host)(void* to, const void* from, Index bytes);
  bool is_host;
};
template <class D>
inline constexpr DeviceMemory device_memory{
    [](Index bytes) -> Storage { return Buffer<D>{bytes}; },
    [](void* data, Index bytes) { fill_zero(D{}, data, bytes); },
    [](void* to, const void* from, Index bytes) { copy_bytes(D{}, D{}, to, from, bytes); },
    [](void* to, const void* from, Index bytes) { copy_bytes(D{}, Cpu{}, to, from, bytes); },
    [](void* to, const void* from, Index bytes) { copy_bytes(Cpu{}, D{}, to, from, bytes); },
    on_host<D>};

/// A flat array of some device for the host to read or to fill: in its place, or in a copy.
template <class T>
class HostValues {
 public:
  HostValues(const DeviceMemory& memory, std::span<T> values) : memory_{memory}, device_{values} {
    if (!memory.is_host) copy_ = Buffer<Cpu>{bytes()};
  }

  std::span<T> values() const { return {data(), device_.size()}; }
  T* data() const { return memory_.is_host ? device_.data() : static_cast<T*>(copy_.data()); }
  /// What keeps the copy; empty where there is none.
  const Storage& storage() const { return copy_; }

  /// Gets the device's values.
  void get() const {
    if (!memory_.is_host && bytes() > 0) memory_.to_host(copy_.data(), device_.data(), bytes());
  }
  /// Gives them to the device.
  void put() const {
    if (!memory_.is_host && bytes() > 0)
      memory_.from_host(const_cast<std::remove_const_t<T>*>(device_.data()), copy_.data(), bytes());
  }

 private:
  Index bytes() const { return static_cast<Index>(device_.size_bytes()); }

  const DeviceMemory& memory_;
  std::span<T> device_;
  Storage copy_;
};

/// A handle for memory that others own: it never counts as the only one, so tensors that share such memory
/// copy it before they write.
inline Storage borrowed_storage() {
  static Block* const block = [] {
    auto* const b = new Block;  // outlives every static tensor
    b->references.store(1, std::memory_order_relaxed);
    return b;
  }();
  block->references.fetch_add(1, std::memory_order_relaxed);
  return Storage{block};
}
}  // namespace detail

/// A standard allocator that takes its memory from the host's pool.
template <class T>
struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <class U>
  PoolAllocator(const PoolAllocator<U>&) {}

  /// Memory for `count` elements, not initialised.
  T* allocate(std::size_t count) {
    auto* const block = detail::HostPool::instance().allocate(static_cast<Index>(count * sizeof(T)) + header);
    std::memcpy(block->data, &block, sizeof(block));
    return reinterpret_cast<T*>(static_cast<std::byte*>(block->data) + header);
  }
  /// Gives the memory back to the pool.
  void deallocate(T* data, std::size_t) {
    detail::Block* block = nullptr;
    std::memcpy(&block, reinterpret_cast<std::byte*>(data) - header, sizeof(block));
    detail::HostPool::instance().release(block);
  }
  friend bool operator==(PoolAllocator, PoolAllocator) { return true; }

 private:
  static constexpr Index header = 64;
};

/// What the pool of a device did so far.
template <class D = Cpu>
MemoryStatistics memory_statistics() {
  return detail::pool_of<D>::get().statistics();
}

/// Starts counting the peak of bytes in use from the present.
template <class D = Cpu>
void reset_peak_memory() {
  detail::pool_of<D>::get().reset_peak();
}

/// Gives the pool's unused blocks back to the system.
template <class D = Cpu>
void trim_memory() {
  detail::pool_of<D>::get().trim();
}

}  // namespace burrow
