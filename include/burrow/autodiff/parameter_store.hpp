// The flat store of a built model's parameters, as tapes and optimizers know it.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include <burrow/core/memory.hpp>
#include <burrow/core/shape.hpp>

namespace burrow::detail {

/// Elements [begin, end) of a flat store.
struct ParameterRange {
  Index begin, end;
};

/// Whether a tape differentiates the parameters of a store now; suspended inside `checkpoint`.
enum class Recording { off, on, suspended };

/// The flat parameters of a built model, as a tape knows them.
struct ParameterStore {
  Storage storage;
  Index size = 0;
  Recording recording = Recording::off;
  std::span<const ParameterRange> differentiated = {};  // all of the store where empty
  bool met = false;                                     // a differentiated parameter was used while suspended

  bool differentiates(Index offset) const {
    return recording != Recording::off && contains(differentiated, offset);
  }
  static bool contains(std::span<const ParameterRange> ranges, Index offset) {
    for (const auto& range : ranges)
      if (range.begin <= offset && offset < range.end) return true;
    return ranges.empty();
  }
};

/// A shared handle to a store. It is copied and dropped out of line, for expressions do both in many places.
class StoreHandle {
 public:
  StoreHandle() = default;
  StoreHandle(std::shared_ptr<ParameterStore> store) : store_{std::move(store)} {}
  [[gnu::noinline]] StoreHandle(const StoreHandle& other) noexcept : store_{other.store_} {}
  StoreHandle(StoreHandle&& other) noexcept = default;
  [[gnu::noinline]] StoreHandle& operator=(StoreHandle other) noexcept {
    store_.swap(other.store_);
    return *this;
  }
  [[gnu::noinline]] ~StoreHandle() {}

  const std::shared_ptr<ParameterStore>& shared() const { return store_; }
  ParameterStore* operator->() const { return store_.get(); }
  ParameterStore& operator*() const { return *store_; }
  explicit operator bool() const { return store_ != nullptr; }

 private:
  std::shared_ptr<ParameterStore> store_;
};

}  // namespace burrow::detail
