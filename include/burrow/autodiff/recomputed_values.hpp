// RecomputedValues: values that a tape computes again in the backward pass instead of keeping them.
#pragma once

#include <vector>

#include <burrow/core/memory.hpp>

namespace burrow {

/// A backward function for `record`, with a way to compute the recorded value again: `again()` gives a tensor
/// with the same bits, at a cost that is small beside the products that use it. Until the backward pass
/// reaches such a product, the tape does not keep the value.
template <class Backward, class Again>
struct Recomputable {
  Backward backward;
  Again again;

  void operator()(const auto& dy) const { backward(dy); }
};
template <class Backward, class Again>
Recomputable(Backward, Again) -> Recomputable<Backward, Again>;

}  // namespace burrow

namespace burrow::detail {

/// Which slots of a tape have values that are computed again, and those that a sweep has at hand.
class RecomputedValues {
 public:
  /// Computes the value of a record; gives its storage, and in `data` where it begins.
  using Compute = Storage (*)(const void* record, const void*& data);

  /// The record must stay where it is until `forget`.
  [[gnu::noinline]] void add(int slot, Compute compute, const void* record) {
    const auto i = static_cast<std::size_t>(slot);
    if (values_.size() <= i) values_.resize(i + 1);
    values_[i] = {compute, record, {}, nullptr};
  }

  bool known(int slot) const {
    return slot >= 0 && static_cast<std::size_t>(slot) < values_.size() &&
           values_[static_cast<std::size_t>(slot)].compute != nullptr;
  }

  /// The first element of a known value, which is computed where it is not at hand.
  [[gnu::noinline]] const void* get(int slot) {
    Value& value = values_[static_cast<std::size_t>(slot)];
    if (!value.storage) value.storage = value.compute(value.record, value.data);
    return value.data;
  }

  /// Nobody uses the value before it is asked for again.
  void forget(int slot) {
    if (known(slot)) values_[static_cast<std::size_t>(slot)].storage = {};
  }

 private:
  struct Value {
    Compute compute = nullptr;
    const void* record = nullptr;
    Storage storage{};
    const void* data = nullptr;
  };

  std::vector<Value, PoolAllocator<Value>> values_;  // by slot
};

}  // namespace burrow::detail
