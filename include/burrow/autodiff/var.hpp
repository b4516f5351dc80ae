// Var: a value that a tape watches. It carries the tape, so operations on it are recorded, and operations on
// plain tensors are not.
#pragma once

#include <burrow/autodiff/tape.hpp>

namespace burrow {

namespace detail {

/// Where the gradient of a leaf goes. Where not `accumulate`, the elements are uninitialised and all must be
/// written. Elements that a broadcast leaf shows repeatedly get the sum; see `add_strided`.
template <class T, std::size_t Rank>
struct GradientTarget {
  T* data = nullptr;
  std::array<Index, Rank> strides{};
  bool accumulate = false;
  explicit operator bool() const { return data != nullptr; }
};

/// The seed of a sweep, or 1 where it is null, written or added to the gradient of what it starts from.
template <class T>
void seed_gradient(Cpu, T* target, bool accumulate, const T* seed, Index count) {
  for (Index i = 0; i < count; ++i) {
    const T value = seed == nullptr ? T(1) : seed[i];
    target[i] = accumulate ? static_cast<T>(target[i] + value) : value;
  }
}

}  // namespace detail

/// A traced value: a leaf of expressions like a view, with the tape it is recorded on.
template <class T, class S, class D, class L>
class Var : public detail::LeafTraits<T, S, D, L>, public detail::OperatorsOf<Var<T, S, D, L>, S::is_static> {
 public:
  static constexpr bool traced = true;

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
    const bool once = Var::contiguous || !detail::repeats_elements(view_.shape().values(), strides);
    const auto [data, accumulate] =
        tape_->gradient_data<T>(slot_, offset_, once ? view_.shape().size() : Index{0});
    return {data, strides, accumulate};
  }

  /// True where this value is all of what its gradient slot holds, in the slot's order.
  bool whole() const { return Var::contiguous && tape_->slot_size(slot_) == view_.shape().size(); }

  /// Hands a finished tensor over as the gradient; false where it must be added instead.
  bool adopt_gradient(const Tensor<T, S, D>& gradient) const {
    if constexpr (Var::contiguous)
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

namespace detail {
/// Lets the gradient of a value of one element be 1, in memory that all sweeps share; false where it cannot.
template <class T, class S>
bool adopt_one(Cpu, const Var<T, S, Cpu>& y) {
  static const T one = T(1);
  return y.tape().template adopt_gradient<T>(y.slot(), borrowed_storage(), &one, 1);
}
template <class D, class T, class S>
bool adopt_one(D, const Var<T, S, D>&) {
  return false;
}
}  // namespace detail

template <class T, class S, class D>
void Tape::sweep(const Var<T, S, D>& y, const std::type_identity_t<Tensor<T, S, D>>* seed, bool keep,
                 Location where) {
  const auto& extents = y.shape().values();
  begin_sweep(extents, seed == nullptr ? extents : seed->shape().values(), seed != nullptr, keep, where);
  const bool one = seed == nullptr && y.wanted() && detail::adopt_one(D{}, y);
  if (y.wanted() && !one) {
    const auto target = y.gradient_target();
    seed_gradient(D{}, target.data, target.accumulate, seed == nullptr ? nullptr : seed->data(),
                  y.shape().size());
  }
  run_recorded(keep);
}

}  // namespace burrow
