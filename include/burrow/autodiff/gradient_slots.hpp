// GradientSlots: the memory in which a tape collects the gradients of its values.
#pragma once

#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <burrow/core/memory.hpp>
#include <burrow/core/observe.hpp>

namespace burrow::detail {

/// A slot is a number for the gradient of one value. Its memory comes with the first gradient; that of an
/// external slot belongs to somebody else and is added to.
class GradientSlots {
 public:
  struct Slot {
    Storage storage;
    void* data = nullptr;
    const DeviceMemory* memory = nullptr;
    Index size = 0;
    bool wanted = false;
    bool filled = false;
    bool external = false;
    bool kept = false;  // until the tape is destroyed, to be read by `Tape::gradient`
  };
  using FirstNonfinite = Index (*)(const void*, Index);

  const Slot& operator[](int slot) const { return slots_[static_cast<std::size_t>(slot)]; }

  [[gnu::noinline]] int add(const DeviceMemory& memory, Index size, bool wanted, bool kept = false) {
    slots_.push_back({});
    slots_.back().memory = &memory;
    slots_.back().size = size;
    slots_.back().wanted = wanted;
    slots_.back().kept = kept;
    return static_cast<int>(slots_.size()) - 1;
  }

  /// A slot whose gradient is added to `gradient`, or -1 where that is null.
  [[gnu::noinline]] int add_external(const DeviceMemory& memory, void* gradient, Index count) {
    if (gradient == nullptr) return -1;
    const int slot = add(memory, count, true);
    slots_.back().external = true;
    slots_.back().filled = true;
    slots_.back().data = gradient;
    return slot;
  }

  /// Moves the gradient out of a slot; false where there is none.
  [[gnu::noinline]] bool take(int slot, Storage& storage, void*& data) {
    Slot& s = at(slot);
    if (!s.filled) return false;
    storage = std::move(s.storage);
    data = s.data;
    s.data = nullptr;
    s.filled = false;
    if (observed()) begin_observed();
    return true;
  }

  /// Makes a slot ready for `count` of its elements to be written, and says whether they are to be added to.
  [[gnu::noinline]] bool prepare(int slot, Index count, std::size_t element_size,
                                 FirstNonfinite first_nonfinite) {
    Slot& s = at(slot);
    if (observed()) note(slot, first_nonfinite, traffic(count, element_size, s.filled));
    if (s.external) return true;
    const Index bytes = s.size * static_cast<Index>(element_size);
    const void* const before = s.data;
    if (!s.data || (s.filled && !s.storage.unique())) {
      Storage own = s.memory->allocate(bytes);
      if (before != nullptr) s.memory->copy(own.data(), before, bytes);
      s.data = own.data();
      s.storage = std::move(own);
    }
    const bool all = std::exchange(s.filled, true) || count != s.size;
    if (all && before == nullptr && bytes > 0) s.memory->zero(s.data, bytes);
    return all;
  }

  /// Takes finished elements as the first gradient of a whole slot, without a copy; false where it cannot.
  [[gnu::noinline]] bool adopt(int slot, Storage storage, void* data, Index count, std::size_t element_size,
                               FirstNonfinite first_nonfinite) {
    Slot& s = at(slot);
    if (s.external || s.filled || s.size != count) return false;
    if (observed()) note(slot, first_nonfinite, traffic(count, element_size, false));
    s.storage = std::move(storage);
    s.data = data;
    s.filled = true;
    return true;
  }

  /// Forgets what an earlier sweep found.
  void clear_gradients() {
    for (Slot& slot : slots_) {
      if (slot.external) continue;
      slot.storage = {};
      slot.data = nullptr;
      slot.filled = false;
    }
  }

  /// Tells the observers what has been written since the last `take`, by an entry whose gradient had these
  /// extents.
  [[gnu::cold, gnu::noinline]] void tell_written(const char* name, std::string_view dtype,
                                                 std::span<const Index> extents, Index bytes) const {
    std::vector<ObservedValues> values;
    double traffic = static_cast<double>(bytes);
    for (const Written& w : written_) {
      traffic += w.traffic;
      values.push_back({(*this)[w.slot].data, (*this)[w.slot].size, w.first_nonfinite});
    }
    tell_end({name, true, dtype, extents, bytes, {}, values, traffic});
  }

 private:
  /// A slot that the running entry has written to, for observers.
  struct Written {
    int slot;
    FirstNonfinite first_nonfinite;
    double traffic;  // the gradient's bytes, and those of the operand, which the backward pass reads
  };

  /// Values that are not on the host are not looked at.
  [[gnu::cold, gnu::noinline]] void note(int slot, FirstNonfinite first_nonfinite, double bytes) {
    written_.push_back({slot, at(slot).memory->is_host ? first_nonfinite : nullptr, bytes});
  }

  static double traffic(Index count, std::size_t element_size, bool accumulate) {
    return static_cast<double>(count) * static_cast<double>(element_size) * (accumulate ? 3 : 2);
  }

  [[gnu::cold, gnu::noinline]] void begin_observed() {
    written_.clear();
    tell_beginning();
  }

  Slot& at(int slot) { return slots_[static_cast<std::size_t>(slot)]; }

  std::vector<Slot, PoolAllocator<Slot>> slots_;
  std::vector<Written> written_;  // filled where somebody observes
};

}  // namespace burrow::detail
