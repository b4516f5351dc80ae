// The flat store of a built model's parameters, as tapes and optimizers know it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include <burrow/core/memory.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// Adds the gradients that several ranks have of the same parameter, each from what it has applied it to.
class GradientSum {
 public:
  GradientSum() = default;
  GradientSum(const GradientSum&) = delete;
  GradientSum& operator=(const GradientSum&) = delete;
  virtual ~GradientSum() = default;
  /// Values, in the memory of the parameter's device, become the sums of all ranks' values.
  virtual void add(std::span<float> values) const = 0;
  virtual void add(std::span<double> values) const = 0;
};

/// How a parameter of a model that several ranks share is known to all of them.
struct ParameterShare {
  bool counted = true;      ///< false where another rank has the same parameter and counts it in norms
  std::uint64_t draws = 0;  ///< the number of its first random draw in updates; 0: by its place in the model
  std::shared_ptr<const GradientSum> sum = nullptr;  ///< of its gradient, where a rank sees a part of it
  int axis = -1;    ///< along which it is a part of a larger one; -1: it is whole
  Index first = 0;  ///< where the part begins on that axis
  Index whole = 0;  ///< the extent of the larger one there
};

}  // namespace burrow

namespace burrow::detail {

/// Elements [begin, end) of a flat store.
struct ParameterRange {
  Index begin, end;
};

/// Whether a tape differentiates the parameters of a store now; suspended inside `checkpoint`.
enum class Recording { off, on, suspended };

/// Is told which parameters of a store a computation uses, and how far its reverse sweep has come: once the
/// sweep is down to the first position at which a parameter was used, its gradient is complete.
class SweepListener {
 public:
  SweepListener() = default;
  SweepListener(const SweepListener&) = delete;
  SweepListener& operator=(const SweepListener&) = delete;
  virtual ~SweepListener() = default;
  /// The parameter at `offset` is used by what is recorded from `position` on.
  virtual void used(Index offset, std::size_t position) = 0;
  /// All that was recorded from `position` on has been swept.
  virtual void swept(std::size_t position) = 0;
};

/// Has the parameters of a store that are not always there, and is told of passages through the blocks that
/// use them; a block is known by the offset of its first parameter. `again` is the forward pass of blocks
/// that are computed again, whose backward pass follows.
class ParameterKeeper {
 public:
  enum class Moment {
    forward_begins,
    forward_ends,
    again_begins,
    again_ends,
    backward_begins,
    backward_ends
  };
  ParameterKeeper() = default;
  ParameterKeeper(const ParameterKeeper&) = delete;
  ParameterKeeper& operator=(const ParameterKeeper&) = delete;
  virtual ~ParameterKeeper() = default;
  virtual void at(Moment moment, Index offset) = 0;
};

/// The flat parameters of a built model, as a tape knows them.
struct ParameterStore {
  Storage storage;
  const DeviceMemory* memory = &device_memory<Cpu>;
  Index size = 0;
  Recording recording = Recording::off;
  std::span<const ParameterRange> differentiated = {};  // all of the store where empty
  bool met = false;                                     // a differentiated parameter was used while suspended
  SweepListener* listener = nullptr;
  ParameterKeeper* keeper = nullptr;
  std::size_t suspended_at = 0;  // the position of the record for which parameters were suspended

  /// A parameter is used while they are suspended.
  void meet(Index offset) {
    met = true;
    if (listener != nullptr) listener->used(offset, suspended_at);
  }

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
