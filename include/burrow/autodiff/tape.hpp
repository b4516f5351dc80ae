// Tape: the record of one differentiated computation, a flat list swept once from the end.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include <burrow/autodiff/gradient_slots.hpp>
#include <burrow/autodiff/parameter_store.hpp>
#include <burrow/autodiff/recomputed_values.hpp>
#include <burrow/tensor/tensor.hpp>

namespace burrow {

template <class T, class S, class D = Cpu, class L = Contiguous>
class Var;

namespace detail {

/// A loss of one element, or of a number of elements that is known at run time only.
template <class T, class S>
concept Loss = Real<T> &&(!S::is_static || S{}.size() == 1);

template <class Operation, class E>
using LossMisuse = std::conditional_t<
    !Traced<E>, misuse::is_not_traced<Operation, E>,
    std::conditional_t<!Real<element_of<E>>, misuse::element_types_are_refused<Operation, element_of<E>>,
                       misuse::shapes_do_not_fit<Operation, shape_of<E>, Shape<>>>>;

/// A view, a number, or an expression of them: nothing that is traced already or belongs to a model.
template <class N>
inline constexpr bool is_plain_node = is_scalar_node<N>;
template <class T, class S, class D, class L>
inline constexpr bool is_plain_node<View<T, S, D, L>> = true;
template <class F, class... Args>
inline constexpr bool is_plain_node<Map<F, Args...>> = (is_plain_node<Args> && ...);

}  // namespace detail

namespace operation {
struct backward;
struct gradient;
struct watch;
}  // namespace operation

/// Keeps the record of a sweep, so that the tape can be swept again: `tape.backward(loss, keep_record)`.
struct KeepRecord {};
inline constexpr KeepRecord keep_record{};

/// Records operations on watched values and computes gradients in a reverse sweep. A tape is used on one
/// thread, for one computation.
class Tape {
 public:
  /// What `watch` asks for: the gradient of every watched value, or only that of parameters (inputs then cost
  /// nothing).
  enum class Inputs { differentiated, constant };

  explicit Tape(Inputs inputs = Inputs::differentiated) : inputs_{inputs} {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  ~Tape() {
    clear();
    for (const auto& entry : parameters_) {
      entry.store->recording = entry.was_recording;
      entry.store->differentiated = entry.was_differentiated;
      if (entry.listener != nullptr) entry.store->listener = nullptr;
    }
  }

  /// A traced value; what is computed from it is recorded here. Integers carry the tape but have no gradient.
  template <class T, class S, class D>
  Var<T, S, D> watch(const Tensor<T, S, D>& x) {
    const bool wanted = Real<T> && inputs_ == Inputs::differentiated;
    return Var<T, S, D>{this, slots_.add(detail::device_memory<D>, x.size(), wanted, wanted), x.leaf()};
  }
  /// The same of the values of a view, or of an expression of tensors.
  template <Expression E>
  requires detail::is_plain_node<detail::node_of<E>>
  auto watch(const E& e) { return watch(materialize(e)); }

  /// Computes the gradients of a traced scalar with respect to everything watched, and drops the record.
  template <class T, class S, class D>
  requires detail::Loss<T, S>
  void backward(const Var<T, S, D>& loss, Location where = Location::here()) {
    sweep(loss, nullptr, false, where);
  }
  /// As above, and keeps the record for another sweep, from the same or another result. `gradient` gives what
  /// the last sweep found; gradients of parameters, which belong to the caller, add up.
  template <class T, class S, class D>
  requires detail::Loss<T, S>
  void backward(const Var<T, S, D>& loss, KeepRecord, Location where = Location::here()) {
    sweep(loss, nullptr, true, where);
  }

  /// As above, for a loss that is an expression, such as a sum of two losses.
  template <Traced E>
  requires(!E::is_leaf &&
           detail::Loss<element_of<E>, shape_of<E>>) void backward(const E& loss,
                                                                   Location where = Location::here()) {
    backward(materialize(loss), where);
  }
  template <Traced E>
  requires(!E::is_leaf &&
           detail::Loss<element_of<E>, shape_of<E>>) void backward(const E& loss, KeepRecord,
                                                                   Location where = Location::here()) {
    backward(materialize(loss), keep_record, where);
  }

  /// Computes vector-Jacobian products: the gradients of sum(y * seed).
  template <class T, class S, class D>
  void backward(const Var<T, S, D>& y, const Tensor<T, S, D>& seed, Location where = Location::here()) {
    sweep(y, &seed, false, where);
  }
  template <class T, class S, class D>
  void backward(const Var<T, S, D>& y, const Tensor<T, S, D>& seed, KeepRecord,
                Location where = Location::here()) {
    sweep(y, &seed, true, where);
  }

  // What backward, watch and gradient refuse.
  template <Expression E, class... Keep>
  requires((!Traced<E> || !detail::Loss<element_of<E>, shape_of<E>>)&&(
      (std::same_as<Keep, KeepRecord> || std::same_as<Keep, Location>)&&...)) auto backward(const E& loss,
                                                                                            Keep...)
      -> detail::LossMisuse<operation::backward, E>;
  template <Expression E, Expression Seed, class... Keep>
  auto backward(const E&, const Seed&, Keep...)
      -> misuse::shapes_do_not_fit<operation::backward, shape_of<E>, shape_of<Seed>>;
  template <Expression E>
  auto watch(const E&) -> misuse::argument_is_refused<operation::watch, E>;
  template <Expression E>
  auto gradient(const E&) const -> misuse::argument_is_refused<operation::gradient, E>;

  /// The gradient of a watched value after `backward`; zero where the result does not depend on it. Throws
  /// Error for a value that was not watched.
  template <class T, class S, class D>
  Tensor<T, S, D> gradient(const Var<T, S, D>& x, Location where = Location::here()) const {
    if (!swept_) throw Error("gradient: this tape has not run backward" + at(where));
    if (!wanted(x.slot()))
      throw Error("gradient: this value was not differentiated on this tape" + at(where));
    const auto& slot = slots_[x.slot()];
    if (!slot.kept)
      throw Error("gradient: this value is computed from watched ones, and only those keep their gradient" +
                  at(where));
    Tensor<T, S, D> result{x.shape()};
    T* const out = result.data();
    const Index bytes = result.size() * Index{sizeof(T)};
    if (slot.filled && bytes > 0)
      copy_bytes(D{}, D{}, out, static_cast<const T*>(slot.data) + x.offset(), bytes);
    else if (bytes > 0)
      fill_zero(D{}, out, bytes);
    return result;
  }

  /// Lets the gradients of a store's parameters be added to `gradient` (as many elements as the store): of
  /// all, or of those in the ranges, which outlive the tape. A listener is told when gradients are complete.
  void differentiate(detail::ParameterStore& store, void* gradient,
                     std::span<const detail::ParameterRange> ranges = {},
                     detail::SweepListener* listener = nullptr) {
    parameters_.push_back({&store, gradient, ranges, listener, store.recording, store.differentiated});
    if (listener != nullptr) store.listener = listener;
    store.recording = detail::Recording::on;
    store.differentiated = ranges;
  }

  /// Records an operation: its value, and `backward(dy)`, which adds to the gradients of its inputs; a
  /// Recomputable also says how to compute the value again. For operations; see
  /// detail::TapeReference::record.
  template <class T, class S, class D, class Backward>
  Var<T, S, D> record(const char* name, const Tensor<T, S, D>& value, bool wanted, Backward&& backward) {
    using Recorded = Entry<T, S, D, std::decay_t<Backward>>;
    const int slot = Real<T> ? slots_.add(detail::device_memory<D>, value.size(), wanted) : -1;
    if constexpr (Real<T>)
      if (wanted) {
        AnyEntry* const entry = Recorded::make(name, slot, value.shape(), std::forward<Backward>(backward));
        add_entry(entry);
        if constexpr (requires { backward.again(); })
          if (recomputes_) recomputed_.add(slot, &Recorded::compute_again, entry);
      }
    return Var<T, S, D>{this, slot, value.leaf()};
  }

  /// Whether values that are cheap to compute again are computed again in the sweep, as they are at first, or
  /// kept. Holds for what is recorded from now on; returns what held before.
  bool recompute_values(bool on) { return std::exchange(recomputes_, on); }
  bool recomputes_values() const { return recomputes_; }

  /// True where the value of a slot can be computed again in the sweep, so that an operation recorded after
  /// it need not keep it.
  bool recomputes(int slot) const { return recomputed_.known(slot); }

  /// The first element of such a value, until the sweep reaches what recorded it.
  template <class T>
  const T* recomputed(int slot) {
    return static_cast<const T*>(recomputed_.get(slot));
  }

  /// Number of elements of the gradient in a slot.
  Index slot_size(int slot) const { return slot < 0 ? 0 : slots_[slot].size; }

  /// True where the gradient of a slot is asked for.
  bool wanted(int slot) const { return slot >= 0 && slots_[slot].wanted; }

  /// Where the gradient of `count` elements at `offset` of a slot goes; zero-filled first where others are
  /// not covered.
  template <class T>
  std::pair<T*, bool> gradient_data(int slot, Index offset, Index count) {
    const bool accumulate = slots_.prepare(slot, count, sizeof(T), &detail::first_nonfinite<T>);
    return {static_cast<T*>(slots_[slot].data) + offset, accumulate};
  }

  /// Takes a finished tensor as the first gradient of a whole slot, without a copy; false where it cannot.
  template <class T>
  bool adopt_gradient(int slot, Storage storage, const T* data, Index count) {
    return slots_.adopt(slot, std::move(storage), const_cast<T*>(data), count, sizeof(T),
                        &detail::first_nonfinite<T>);
  }

  /// A slot for the parameters at `offset` of a store, or -1 where they are not differentiated.
  template <class T>
  int parameter_slot(const detail::ParameterStore& store, Index offset, Index count) {
    return slots_.add_external(*store.memory, parameter_gradient<T>(store, offset), count);
  }

  /// Where the gradient of the parameters from `offset` of a store goes, or null where they are not
  /// differentiated.
  template <class G>
  G* parameter_gradient(const detail::ParameterStore& store, Index offset) const {
    void* const gradient = flat_gradient(store, offset);
    return gradient == nullptr ? nullptr : static_cast<G*>(gradient) + offset;
  }

  /// A tape for a part of this computation that is differentiated on its own, with the same parameters and
  /// the same choice of what is kept.
  void share_parameters(const Tape& other) {
    recomputes_ = other.recomputes_;
    for (const auto& entry : other.parameters_)
      parameters_.push_back({entry.store, entry.gradient, entry.ranges, nullptr, entry.store->recording,
                             entry.store->differentiated});
  }

  /// Lets parameters be used without a trace (inside `checkpoint`), until `resume_parameters`.
  void suspend_parameters() {
    for (const auto& entry : parameters_) {
      entry.store->recording = detail::Recording::suspended;
      entry.store->met = false;
      if (entry.listener != nullptr) entry.store->suspended_at = entries_.size();
    }
  }
  void resume_parameters() {
    for (const auto& entry : parameters_) entry.store->recording = detail::Recording::on;
  }
  /// True where a differentiated parameter was used since they were last suspended.
  bool parameters_met() const {
    for (const auto& entry : parameters_)
      if (entry.store->met) return true;
    return false;
  }

  /// Number of operations recorded and not dropped by a sweep.
  std::size_t size() const { return entries_.size(); }

 private:
  struct AnyEntry {
    const char* name;
    int slot;
    void (*run)(AnyEntry*, Tape&);
    void (*destroy)(AnyEntry*);
  };

  template <class T, class S, class D, class Backward>
  struct Entry : AnyEntry {
    [[no_unique_address]] S shape;
    Backward backward;

    template <class B>
    static AnyEntry* make(const char* name, int slot, const S& shape, B&& backward) {
      auto* const memory = PoolAllocator<Entry>{}.allocate(1);
      return new (memory)
          Entry{{name, slot, &Entry::run_entry, &Entry::destroy_entry}, shape, std::forward<B>(backward)};
    }
    static void run_entry(AnyEntry* any, Tape& tape) {
      const auto* const self = static_cast<Entry*>(any);
      Buffer<D> storage;
      void* data = nullptr;
      if (!tape.slots_.take(self->slot, storage, data)) return;
      const auto dy = Tensor<T, S, D>::over(std::move(storage), static_cast<T*>(data), self->shape);
      self->backward(dy);
      if (detail::observed())
        tape.slots_.tell_written(self->name, dtype_name<T>(), self->shape.values(),
                                 dy.size() * Index{sizeof(T)});
    }
    /// The recorded value, computed again; observers take that for work of this entry's backward pass.
    static Storage compute_again(const void* any, const void*& data) {
      const auto& self = *static_cast<const Entry*>(static_cast<const AnyEntry*>(any));
      const detail::ObservedScope scope{self.name, true};
      const Tensor<T, S, D> value = self.backward.again();
      const Index bytes = value.size() * Index{sizeof(T)};
      if (detail::observed()) detail::tell_recomputed(self.name, dtype_name<T>(), self.shape.values(), bytes);
      data = value.data();
      return value.leaf().storage();
    }
    static void destroy_entry(AnyEntry* any) {
      auto* const self = static_cast<Entry*>(any);
      self->~Entry();
      PoolAllocator<Entry>{}.deallocate(self, 1);
    }
  };

  struct Parameters {
    detail::ParameterStore* store;
    void* gradient;
    std::span<const detail::ParameterRange> ranges;
    detail::SweepListener* listener;
    detail::Recording was_recording;
    std::span<const detail::ParameterRange> was_differentiated;
  };

  template <class T>
  using Pooled = std::vector<T, PoolAllocator<T>>;

  /// Sweeps from y with the gradient `seed`, or 1 where it is null.
  template <class T, class S, class D>
  void sweep(const Var<T, S, D>& y, const std::type_identity_t<Tensor<T, S, D>>* seed, bool keep,
             Location where);

  [[gnu::noinline]] void begin_sweep(std::span<const Index> value, std::span<const Index> seed, bool seeded,
                                     bool keep, Location where) {
    const auto text = [](std::span<const Index> extents) {
      return detail::shape_text(extents.data(), extents.size());
    };
    Index size = 1;
    for (const Index extent : value) size *= extent;
    if (!seeded && size != 1)
      throw ShapeError("backward: the loss has " + text(value) +
                       " and no seed is given; reduce it to one element" + at(where));
    if (dropped_)
      throw Error(
          "backward: this tape has been swept already; record the computation again, or sweep it first with "
          "backward(loss, keep_record)" +
          at(where));
    if (!std::equal(value.begin(), value.end(), seed.begin(), seed.end()))
      throw ShapeError("backward: a seed of " + text(seed) + " for " + text(value) + at(where));
    if (swept_) slots_.clear_gradients();
    swept_ = true;
    dropped_ = !keep;
  }

  /// Runs what is recorded from the end, dropping each entry once it has run, or keeping all.
  [[gnu::noinline]] void run_recorded(bool keep) {
    for (std::size_t i = entries_.size(); keep && i-- > 0;) {
      const std::size_t recorded = entries_.size();
      const detail::ObservedScope scope{entries_[i]->name, true};
      recomputed_.forget(entries_[i]->slot);
      entries_[i]->run(entries_[i], *this);
      run_and_drop(recorded);
      tell_swept(i);
    }
    if (!keep) run_and_drop(0);
  }

  /// Runs and drops what is recorded from a position on, from the end; entries that run may record others.
  void run_and_drop(std::size_t first) {
    while (entries_.size() > first) {
      AnyEntry* const entry = entries_.back();
      entries_.pop_back();
      const detail::ObservedScope scope{entry->name, true};
      struct Guard {
        AnyEntry* entry;
        ~Guard() { entry->destroy(entry); }
      } guard{entry};
      recomputed_.forget(entry->slot);
      entry->run(entry, *this);
      tell_swept(entries_.size());
    }
  }

  void tell_swept(std::size_t position) const {
    for (const auto& entry : parameters_)
      if (entry.listener != nullptr) entry.listener->swept(position);
  }

  /// The gradient of the store that the parameters from `offset` on belong to, or null.
  [[gnu::noinline]] void* flat_gradient(const detail::ParameterStore& store, Index offset) const {
    for (const auto& entry : parameters_)
      if (entry.store == &store && detail::ParameterStore::contains(entry.ranges, offset)) {
        if (entry.listener != nullptr) entry.listener->used(offset, entries_.size());
        return entry.gradient;
      }
    return nullptr;
  }

  [[gnu::noinline]] void add_entry(AnyEntry* entry) { entries_.push_back(entry); }

  void clear() {
    while (!entries_.empty()) {
      AnyEntry* const entry = entries_.back();
      entries_.pop_back();
      entry->destroy(entry);
    }
  }

  Inputs inputs_;
  bool swept_ = false;
  bool dropped_ = false;
  bool recomputes_ = true;
  detail::GradientSlots slots_;
  detail::RecomputedValues recomputed_;
  Pooled<AnyEntry*> entries_;
  Pooled<Parameters> parameters_;
};

}  // namespace burrow

#include <burrow/autodiff/var.hpp>  // a tape hands out traced values, which need a complete Tape
