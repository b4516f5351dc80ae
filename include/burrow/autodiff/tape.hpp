// Tape: the record of one differentiated computation, a flat list swept once from the end. Var: a value that
// a tape watches; it carries the tape, so operations on it are recorded, and operations on plain tensors are
// not.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include <burrow/tensor/tensor.hpp>

namespace burrow {

template <class T, class S, class D = Cpu, class L = Contiguous>
class Var;

namespace detail {

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

/// Where the gradient of a leaf goes. Where not `accumulate`, the elements are uninitialised and all must be
/// written. Elements that a broadcast leaf shows repeatedly get the sum; see `add_strided`.
template <class T, std::size_t Rank>
struct GradientTarget {
  T* data = nullptr;
  std::array<Index, Rank> strides{};
  bool accumulate = false;
  explicit operator bool() const { return data != nullptr; }
};

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
      if (wanted)
        entries_.push_back(Entry<T, S, D, Backward>::make(name, slot, value.shape(), std::move(backward)));
    return Var<T, S, D>{this, slot, value.leaf()};
  }

  /// Number of elements of the gradient in a slot.
  Index slot_size(int slot) const { return slot < 0 ? 0 : slots_[static_cast<std::size_t>(slot)].size; }

  /// True where the gradient of a slot is asked for.
  bool wanted(int slot) const { return slot >= 0 && slots_[static_cast<std::size_t>(slot)].wanted; }

  /// Where the gradient of `count` elements at `offset` of a slot goes; zero-filled first where others are
  /// not covered.
  template <class T>
  std::pair<T*, bool> gradient_data(int slot, Index offset, Index count) {
    Slot& s = slots_[static_cast<std::size_t>(slot)];
    if (detail::observed()) written_.push_back({slot, &detail::first_nonfinite<T>});
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
    if (detail::observed()) written_.push_back({slot, &detail::first_nonfinite<T>});
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
  };

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
                          tape.written_values()});
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

  /// Runs what is recorded from the end, dropping each entry once it has run.
  void run_and_drop() {
    while (!entries_.empty()) {
      AnyEntry* const entry = entries_.back();
      entries_.pop_back();
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

  int add_slot(Index size, bool wanted) {
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

/// A traced value: a leaf of expressions like a view, with the tape it is recorded on.
template <class T, class S, class D, class L>
class Var {
 public:
  using element = T;
  using shape_type = S;
  using device = D;
  using layout = L;
  static constexpr bool is_expression = true;
  static constexpr bool is_leaf = true;
  static constexpr bool traced = true;
  static constexpr bool contiguous = std::same_as<L, Contiguous>;

  Var(Tape* tape, int slot, View<T, S, D, L> view, Index offset = 0)
      : tape_{tape}, slot_{slot}, offset_{offset}, view_{std::move(view)} {}

  Tape& tape() const { return *tape_; }
  int slot() const { return slot_; }
  /// Index of the first element in the watched tensor's storage.
  Index offset() const { return offset_; }
  const View<T, S, D, L>& view() const { return view_; }
  const S& shape() const { return view_.shape(); }

  /// The value alone, no longer traced.
  Tensor<T, S, D> value() const { return materialize(view_); }
  /// The only element; throws ShapeError where there is not exactly one.
  T item(Location where = Location::here()) const { return value().item(where); }

  bool wanted() const { return Real<T> && tape_->wanted(slot_); }

  /// The same traced elements seen through another view of the same storage.
  template <class S2, class L2>
  Var<T, S2, D, L2> rebind(const View<T, S2, D, L2>& view) const {
    return {tape_, slot_, view, offset_ + (view.data() - view_.data())};
  }

  /// Where this value's gradient goes; false where nobody asks for it.
  detail::GradientTarget<T, S::extents.size()> gradient_target() const {
    if (!wanted()) return {};
    const auto strides = view_.strides();
    // What is shown repeatedly is added to repeatedly, and need not be all of the slot.
    const bool once = contiguous || !detail::repeats_elements(view_.shape().values(), strides);
    const auto [data, accumulate] =
        tape_->gradient_data<T>(slot_, offset_, once ? view_.shape().size() : Index{0});
    return {data, strides, accumulate};
  }

  /// True where this value is all of what its gradient slot holds, in the slot's order.
  bool whole() const { return contiguous && tape_->slot_size(slot_) == view_.shape().size(); }

  /// Hands a finished tensor over as the gradient; false where it must be added instead.
  bool adopt_gradient(const Tensor<T, S, D>& gradient) const {
    if constexpr (contiguous)
      return tape_->adopt_gradient<T>(slot_, gradient.leaf().storage(), gradient.data(), gradient.size());
    else
      return false;
  }

 private:
  Tape* tape_;
  int slot_;
  Index offset_;
  View<T, S, D, L> view_;
};

template <class T, class S, class D>
void Tape::sweep(const Var<T, S, D>& y, const Tensor<T, S, D>& seed, bool keep, Location where) {
  if (dropped_)
    throw Error(
        "backward: this tape has been swept already; record the computation again, or sweep it first with "
        "backward(loss, keep_record)" +
        at(where));
  if (!(seed.shape() == y.shape()))
    throw ShapeError("backward: a seed of " + seed.shape().text() + " for " + y.shape().text() + at(where));
  if (swept_) clear_gradients();
  swept_ = true;
  dropped_ = !keep;
  if (y.wanted()) {
    const auto target = y.gradient_target();
    for (Index i = 0; i < seed.size(); ++i)
      target.data[i] = target.accumulate ? static_cast<T>(target.data[i] + seed.data()[i]) : seed.data()[i];
  }
  if (!keep) return run_and_drop();
  for (std::size_t i = entries_.size(); i-- > 0;) entries_[i]->run(entries_[i], *this);
}

}  // namespace burrow
