// Tape: the record of one differentiated computation, a flat list swept once from the end.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <burrow/autodiff/parameter_store.hpp>
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
    }
  }

  /// A traced value; what is computed from it is recorded here. Integers carry the tape but have no gradient.
  template <class T, class S, class D>
  Var<T, S, D> watch(const Tensor<T, S, D>& x) {
    const bool wanted = Real<T> && inputs_ == Inputs::differentiated;
    const int slot = add_slot(x.size(), wanted);
    slots_.back().kept = wanted;
    return Var<T, S, D>{this, slot, x.leaf()};
  }

  /// Computes the gradients of a traced scalar with respect to everything watched, and drops the record.
  template <class T, class S, class D>
  requires detail::Loss<T, S>
  void backward(const Var<T, S, D>& loss, Location where = Location::here()) {
    sweep(loss, unit_seed(loss, where), false, where);
  }
  /// As above, and keeps the record for another sweep, from the same or another result. `gradient` gives what
  /// the last sweep found; gradients of parameters, which belong to the caller, add up.
  template <class T, class S, class D>
  requires detail::Loss<T, S>
  void backward(const Var<T, S, D>& loss, KeepRecord, Location where = Location::here()) {
    sweep(loss, unit_seed(loss, where), true, where);
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
    sweep(y, seed, false, where);
  }
  template <class T, class S, class D>
  void backward(const Var<T, S, D>& y, const Tensor<T, S, D>& seed, KeepRecord,
                Location where = Location::here()) {
    sweep(y, seed, true, where);
  }

  // What backward, watch and gradient refuse.
  template <Expression E, class... Keep>
  requires((!Traced<E> || !detail::Loss<element_of<E>, shape_of<E>>)&&(
      sizeof...(Keep) == 0 || (std::same_as<Keep, KeepRecord> && ...))) auto backward(const E& loss, Keep...)
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
    const Slot& slot = slots_[static_cast<std::size_t>(x.slot())];
    if (!slot.kept)
      throw Error("gradient: this value is computed from watched ones, and only those keep their gradient" +
                  at(where));
    Tensor<T, S, D> result{x.shape()};
    T* const out = result.data();
    if (slot.filled)
      std::copy_n(static_cast<const T*>(slot.data) + x.offset(), x.shape().size(), out);
    else
      std::fill_n(out, x.shape().size(), T(0));
    return result;
  }

  /// Lets the gradients of a store's parameters be added to `gradient` (as many elements as the store): of
  /// all, or of those in the ranges, which outlive the tape.
  void differentiate(detail::ParameterStore& store, void* gradient,
                     std::span<const detail::ParameterRange> ranges = {}) {
    parameters_.push_back({&store, gradient, ranges, store.recording, store.differentiated});
    store.recording = detail::Recording::on;
    store.differentiated = ranges;
  }

  /// Records an operation: its value, and `backward(dy)`, which adds to the gradients of its inputs. For
  /// operations; see detail::TapeReference::record.
  template <class T, class S, class D, class Backward>
  Var<T, S, D> record(const char* name, const Tensor<T, S, D>& value, bool wanted, Backward backward) {
    const int slot = Real<T> ? add_slot(value.size(), wanted) : -1;
    if constexpr (Real<T>)
      if (wanted) add_entry(Entry<T, S, D, Backward>::make(name, slot, value.shape(), std::move(backward)));
    return Var<T, S, D>{this, slot, value.leaf()};
  }

  /// Number of elements of the gradient in a slot.
  Index slot_size(int slot) const { return slot < 0 ? 0 : slots_[static_cast<std::size_t>(slot)].size; }

  /// True where the gradient of a slot is asked for.
  bool wanted(int slot) const { return slot >= 0 && slots_[static_cast<std::size_t>(slot)].wanted; }

  /// Where the gradient of `count` elements at `offset` of a slot goes; zero-filled first where others are
  /// not covered.
  template <class T>
  [[gnu::noinline]] std::pair<T*, bool> gradient_data(int slot, Index offset, Index count) {
    Slot& s = slots_[static_cast<std::size_t>(slot)];
    if (detail::observed())
      written_.push_back({slot, &detail::first_nonfinite<T>, traffic<T>(count, s.filled)});
    if (s.external) return {static_cast<T*>(s.data) + offset, true};
    if (!s.data) {
      s.storage = Buffer<Cpu>{s.size * Index{sizeof(T)}};
      s.data = s.storage.data();
    } else if (s.filled && !s.storage.unique()) {
      const Buffer<Cpu> own{s.size * Index{sizeof(T)}};
      std::copy_n(static_cast<const T*>(s.data), s.size, static_cast<T*>(own.data()));
      s.storage = own;
      s.data = own.data();
    }
    const bool accumulate = s.filled;
    if (!s.filled && count != s.size) std::fill_n(static_cast<T*>(s.data), s.size, T(0));
    const bool zeroed = !s.filled && count != s.size;
    s.filled = true;
    return {static_cast<T*>(s.data) + offset, accumulate || zeroed};
  }

  /// Takes a finished tensor as the first gradient of a whole slot, without a copy; false where it cannot.
  template <class T>
  bool adopt_gradient(int slot, const Storage& storage, const T* data, Index count) {
    Slot& s = slots_[static_cast<std::size_t>(slot)];
    if (s.external || s.filled || s.size != count) return false;
    if (detail::observed()) written_.push_back({slot, &detail::first_nonfinite<T>, traffic<T>(count, false)});
    s.storage = storage;
    s.data = const_cast<T*>(data);
    s.filled = true;
    return true;
  }

  /// A slot for the parameters at `offset` of a store, or -1 where they are not differentiated.
  template <class T>
  int parameter_slot(const detail::ParameterStore& store, Index offset, Index count) {
    T* const gradient = parameter_gradient<T>(store, offset);
    if (gradient == nullptr) return -1;
    const int slot = add_slot(count, true);
    slots_.back().external = true;
    slots_.back().filled = true;
    slots_.back().data = gradient;
    return slot;
  }

  /// Where the gradient of the parameters from `offset` of a store goes, or null where they are not
  /// differentiated.
  template <class G>
  G* parameter_gradient(const detail::ParameterStore& store, Index offset) const {
    for (const auto& entry : parameters_)
      if (entry.store == &store && detail::ParameterStore::contains(entry.ranges, offset))
        return static_cast<G*>(entry.gradient) + offset;
    return nullptr;
  }

  /// A tape for a part of this computation that is differentiated on its own, with the same parameters.
  void share_parameters(const Tape& other) {
    for (const auto& entry : other.parameters_)
      parameters_.push_back(
          {entry.store, entry.gradient, entry.ranges, entry.store->recording, entry.store->differentiated});
  }

  /// Lets parameters be used without a trace (inside `checkpoint`), until `resume_parameters`.
  void suspend_parameters() {
    for (const auto& entry : parameters_) {
      entry.store->recording = detail::Recording::suspended;
      entry.store->met = false;
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
  struct Slot {
    Storage storage;
    void* data = nullptr;
    Index size = 0;
    bool wanted = false;
    bool filled = false;
    bool external = false;
    bool kept = false;  // until the tape is destroyed, to be read by `gradient`
  };

  /// A slot that the running entry has written to, for observers.
  struct Written {
    int slot;
    Index (*first_nonfinite)(const void*, Index);
    double traffic;  // the gradient's bytes, and those of the operand, which the backward pass reads
  };

  template <class T>
  static double traffic(Index count, bool accumulate) {
    return static_cast<double>(count) * sizeof(T) * (accumulate ? 3 : 2);
  }

  void begin_observed() {
    written_.clear();
    detail::tell_beginning();
  }
  std::vector<ObservedValues> written_values() const {
    std::vector<ObservedValues> values;
    for (const Written& w : written_) {
      const Slot& s = slots_[static_cast<std::size_t>(w.slot)];
      values.push_back({s.data, s.size, w.first_nonfinite});
    }
    return values;
  }
  double written_traffic() const {
    double bytes = 0;
    for (const Written& w : written_) bytes += w.traffic;
    return bytes;
  }

  struct AnyEntry {
    const char* name;
    int slot;
    void (*run)(AnyEntry*, Tape&);
    void (*destroy)(AnyEntry*);
  };

  template <class T, class S, class D, class Backward>
  struct Entry : AnyEntry {
    S shape;
    Backward backward;

    static AnyEntry* make(const char* name, int slot, const S& shape, Backward&& backward) {
      auto* const memory = PoolAllocator<Entry>{}.allocate(1);
      return new (memory)
          Entry{{name, slot, &Entry::run_entry, &Entry::destroy_entry}, shape, std::move(backward)};
    }
    static void run_entry(AnyEntry* any, Tape& tape) {
      auto* const self = static_cast<Entry*>(any);
      Slot& slot = tape.slots_[static_cast<std::size_t>(self->slot)];
      if (!slot.filled) return;
      auto dy = Tensor<T, S, D>::over(
          {Buffer<D>{std::move(slot.storage)}, static_cast<T*>(slot.data), self->shape});
      slot.storage = {};
      slot.data = nullptr;
      slot.filled = false;
      if (detail::observed()) tape.begin_observed();
      self->backward(std::as_const(dy));
      if (detail::observed())
        detail::tell_end({self->name,
                          true,
                          dtype_name<T>(),
                          self->shape.values(),
                          dy.size() * Index{sizeof(T)},
                          {},
                          tape.written_values(),
                          static_cast<double>(dy.size()) * sizeof(T) + tape.written_traffic()});
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
    detail::Recording was_recording;
    std::span<const detail::ParameterRange> was_differentiated;
  };

  template <class T>
  using Pooled = std::vector<T, PoolAllocator<T>>;

  template <class T, class S, class D>
  static Tensor<T, S, D> unit_seed(const Var<T, S, D>& loss, Location where) {
    if (loss.shape().size() != 1)
      throw ShapeError("backward: the loss has " + loss.shape().text() +
                       " and no seed is given; reduce it to one element" + at(where));
    Tensor<T, S, D> seed{loss.shape()};
    *seed.data() = T(1);
    return seed;
  }

  template <class T, class S, class D>
  void sweep(const Var<T, S, D>& y, const Tensor<T, S, D>& seed, bool keep, Location where);

  void run(AnyEntry* entry) {
    const detail::ObservedScope scope{entry->name, true};
    entry->run(entry, *this);
  }

  /// Runs what is recorded from the end, dropping each entry once it has run.
  void run_and_drop() {
    while (!entries_.empty()) {
      AnyEntry* const entry = entries_.back();
      entries_.pop_back();
      const detail::ObservedScope scope{entry->name, true};
      struct Guard {
        AnyEntry* entry;
        ~Guard() { entry->destroy(entry); }
      } guard{entry};
      entry->run(entry, *this);
    }
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

  [[gnu::noinline]] void add_entry(AnyEntry* entry) { entries_.push_back(entry); }

  [[gnu::noinline]] int add_slot(Index size, bool wanted) {
    slots_.push_back({});
    slots_.back().size = size;
    slots_.back().wanted = wanted;
    return static_cast<int>(slots_.size()) - 1;
  }

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
  Pooled<Slot> slots_;
  Pooled<AnyEntry*> entries_;
  Pooled<Parameters> parameters_;
  std::vector<Written> written_;  // filled where somebody observes
};

}  // namespace burrow

#include <burrow/autodiff/var.hpp>  // a tape hands out traced values, which need a complete Tape
