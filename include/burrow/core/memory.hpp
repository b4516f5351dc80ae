// Storage of tensors. A Buffer is a shared handle to a block of its device's pool; see core/block_pool.hpp.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include <burrow/core/block_pool.hpp>
#include <burrow/core/device.hpp>

namespace burrow {

namespace detail {

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
  [[gnu::noinline]] explicit Buffer(Index bytes, MemoryUse use = MemoryUse::values)
      : Storage{bytes > 0 ? detail::pool_of<D>::get().allocate(bytes, use) : nullptr} {}
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
    auto* const block = detail::HostPool::instance().allocate(static_cast<Index>(count * sizeof(T)) + header,
                                                              MemoryUse::scratch);
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
