// Parameter<T, Shape, Device>: a trainable leaf inside a module. Its elements lie in the flat storage of the
// built model.
#pragma once

#include <burrow/autodiff/var.hpp>
#include <burrow/core/key.hpp>

namespace burrow {

/// The rule by which a parameter gets its first values: `kind` with a deviation, limit or value `scale`.
struct Initializer {
  enum class Kind { constant, normal, uniform, fan_in } kind = Kind::constant;
  float scale = 0.0f;
  Index columns = 0, whole_columns = 0, first = 0;  ///< where the parameter is a part of a larger one

  /// The rule for a part of a matrix: `columns` of its `whole_columns`, whose first element has index `first`
  /// in the whole. Elements have the values that the whole has in their place.
  Initializer part(Index own_columns, Index all_columns, Index first_index) const {
    return {kind, scale, own_columns, all_columns, first_index};
  }

  /// The rule for a parameter whose first extent is `inputs`: what depends on it is settled.
  Initializer resolved(Index inputs) const {
    if (kind != Kind::fan_in) return *this;
    return {Kind::normal, scale / std::sqrt(static_cast<float>(std::max<Index>(inputs, 1))), columns,
            whole_columns, first};
  }

  /// The first value of the element at `index`.
  float operator()(Key key, Index index) const {
    if (columns != 0) index = index / columns * whole_columns + first + index % columns;
    const auto counter = static_cast<std::uint64_t>(index);
    if (kind == Kind::normal) return scale * key.normal(counter);
    if (kind == Kind::uniform) return scale * (2.0f * key.uniform(counter) - 1.0f);
    return scale;
  }
};

/// Initialisation rules.
namespace init {
inline constexpr Initializer zeros{Initializer::Kind::constant, 0.0f};
inline constexpr Initializer ones{Initializer::Kind::constant, 1.0f};
/// Normal with mean 0 and the given standard deviation.
constexpr Initializer normal(float deviation) { return {Initializer::Kind::normal, deviation}; }
/// Uniform in [-limit, limit).
constexpr Initializer uniform(float limit) { return {Initializer::Kind::uniform, limit}; }
/// Normal with standard deviation scale / sqrt(first extent).
constexpr Initializer fan_in(float scale = 1.0f) { return {Initializer::Kind::fan_in, scale}; }
}  // namespace init

namespace detail {
/// Adds values of a narrow type to sums of the type that it is computed in.
template <class G, class T>
void add_converted(Cpu, G* sums, const T* values, Index count) {
  parallel_for(count, elementwise_grain, [&](Index begin, Index end) {
    for_packets<lanes<G>>(begin, end, [&]<bool Full>(Index i, Index n) {
      if constexpr (Full)
        (Packet<G>::load(sums + i) + Packet<G>::load(values + i)).store(sums + i);
      else
        (Packet<G>::load(sums + i, n) + Packet<G>::load(values + i, n)).store(sums + i, n);
    });
  });
}

/// Values of all ranks, summed; a dual number is two numbers.
template <class G>
void add_over_ranks(const GradientSum& sum, std::span<G> values) {
  sum.add(values);
}
template <class T>
void add_over_ranks(const GradientSum& sum, std::span<DualNumber<T>> values) {
  static_assert(sizeof(DualNumber<T>) == 2 * sizeof(T));
  sum.add(std::span{reinterpret_cast<T*>(values.data()), 2 * values.size()});
}

/// Adds dy to the gradient of a parameter; where a rank sees a part of that, what all ranks have.
template <class D, class G, class T>
[[gnu::noinline]] void add_parameter_gradient(G* gradient, const Tensor<T, Shape<dyn>, D>& dy,
                                              const GradientSum* sum) {
  if (sum == nullptr) return add_converted(D{}, gradient, dy.data(), dy.size());
  const Buffer<D> all{dy.size() * Index{sizeof(G)}};
  G* const values = static_cast<G*>(all.data());
  fill_zero(D{}, values, dy.size() * Index{sizeof(G)});
  add_converted(D{}, values, dy.data(), dy.size());
  add_over_ranks(*sum, std::span{values, static_cast<std::size_t>(dy.size())});
  add_converted(D{}, gradient, static_cast<const G*>(values), dy.size());
}

/// A slot of a tape for the gradient of a parameter of which a rank sees a part: once the sweep has come to
/// what is recorded here, what all ranks have is added to `gradient`. -1 where that is null.
template <class D, class G>
[[gnu::noinline]] int summed_slot(Tape& tape, G* gradient, Index count, const GradientSum& sum) {
  if (gradient == nullptr) return -1;
  const auto without_value = Tensor<G, Shape<dyn>, D>::over(Buffer<D>{}, nullptr, Shape<dyn>{{count}});
  const auto add = [gradient, &sum](const auto& dy) { add_parameter_gradient(gradient, dy, &sum); };
  return tape.record("gradient sum", without_value, true, add).slot();
}
}  // namespace detail

/// A parameter as a leaf of an expression: a view that a traced operand beside it makes traced.
template <class T, class S, class D, class L = Contiguous>
class ParameterView : public detail::LeafTraits<T, S, D, L>,
                      public detail::OperatorsOf<ParameterView<T, S, D, L>, S::is_static> {
 public:
  static constexpr bool traced = false;
  static constexpr bool parametric = true;

  /// `sum`, where there is one, outlives the sweep.
  ParameterView(detail::StoreHandle store, Index offset, Index count, View<T, S, D, L> view,
                const GradientSum* sum = nullptr)
      : store_{std::move(store)}, offset_{offset}, count_{count}, sum_{sum}, view_{std::move(view)} {}

  const View<T, S, D, L>& view() const { return view_; }
  const S& shape() const { return view_.shape(); }

  /// The same parameter, seen as `view` of its elements.
  template <class S2, class L2>
  ParameterView<T, S2, D, L2> rebind(const View<T, S2, D, L2>& view) const {
    return {store_, offset_, count_, view, sum_};
  }

  /// This parameter as a traced value of a tape. Gradients are kept in the type that T is computed in.
  Var<T, S, D, L> on(Tape& tape) const {
    using G = compute_type<T>;
    const T* const base = static_cast<const T*>(store_->storage.data()) + offset_;
    const Index from = view_.data() - base;
    if constexpr (std::same_as<T, G>) {
      return {&tape, slot(tape), view_, from};
    } else {
      G* const gradient = tape.parameter_gradient<G>(*store_, offset_);
      const auto whole = Tensor<T, Shape<dyn>, D>::over(
          {Buffer<D>{store_->storage}, const_cast<T*>(base), Shape<dyn>{{count_}}});
      const auto add = [gradient, sum = sum_](const auto& dy) {
        detail::add_parameter_gradient(gradient, dy, sum);
      };
      return tape.record("parameter", whole, gradient != nullptr, add).rebind(view_);
    }
  }

  /// The slot of a tape for the gradient of the whole parameter, in the type that T is computed in, or -1;
  /// and where these elements begin in it.
  std::pair<int, Index> slot_on(Tape& tape) const {
    const T* const base = static_cast<const T*>(store_->storage.data()) + offset_;
    return {slot(tape), view_.data() - base};
  }

  /// True where the tape differentiates this parameter.
  bool wanted_on(const Tape& tape) const {
    return tape.parameter_gradient<compute_type<T>>(*store_, offset_) != nullptr;
  }

  /// Throws Error while a gradient of this parameter is recorded, which would be lost.
  void check_untraced(Location where) const {
    if (!store_->differentiates(offset_)) return;
    if (store_->recording == detail::Recording::suspended)
      store_->meet(offset_);
    else
      throw Error("a parameter of " + view_.shape().text() +
                  " meets no traced operand while gradients are recorded, so its gradient would be lost; "
                  "trace the operand "
                  "beside it, for example with beside(x, operand), or wrap the parameter in stop_gradient" +
                  at(where));
  }

 private:
  int slot(Tape& tape) const {
    using G = compute_type<T>;
    if (sum_ == nullptr) return tape.parameter_slot<G>(*store_, offset_, count_);
    return detail::summed_slot<D>(tape, tape.parameter_gradient<G>(*store_, offset_), count_, *sum_);
  }

  detail::StoreHandle store_;
  Index offset_;
  Index count_;
  const GradientSum* sum_;
  View<T, S, D, L> view_;
};

/// A trainable tensor of a module. It has a shape and a rule for its first values at once, and elements once
/// `build` has placed it in the model's flat storage. Parameters move but do not copy.
template <Element T, class S, class D = Cpu>
class Parameter : public detail::OperatorsOf<Parameter<T, S, D>, S::is_static> {
 public:
  using element = T;
  using shape_type = S;
  using device = D;
  static constexpr bool is_expression = true;
  static constexpr bool traced = false;
  static constexpr bool is_parameter = true;
  static constexpr bool is_trained = true;

  /// Run-time extents are zero until a parameter made with a shape takes this one's place.
  Parameter(Initializer initializer = init::zeros) : initializer_{initializer} {}
  Parameter(const S& shape, Initializer initializer = init::zeros)
      : shape_{shape}, initializer_{initializer} {}
  Parameter(Parameter&&) noexcept = default;
  Parameter& operator=(Parameter&&) noexcept = default;

  const S& shape() const { return shape_; }
  Index size() const { return shape_.size(); }
  const Initializer& initializer() const { return initializer_; }

  const ParameterShare& share() const { return share_; }
  /// Says how it is shared with other ranks; before an optimizer is made.
  void set_share(const ParameterShare& share) { share_ = share; }

  bool built() const { return static_cast<bool>(store_); }
  const std::shared_ptr<detail::ParameterStore>& store() const { return store_.shared(); }
  /// Index of the first element in the model's flat storage.
  Index offset() const { return offset_; }

  /// Places the parameter; done by `build`.
  void place(detail::StoreHandle store, Index offset) {
    store_ = std::move(store);
    offset_ = offset;
  }

  T* data() { return base(); }
  const T* data() const { return base(); }
  std::span<T> values() { return {base(), static_cast<std::size_t>(size())}; }
  std::span<const T> values() const { return {base(), static_cast<std::size_t>(size())}; }

  ParameterView<T, S, D> leaf() const {
    return {store_, offset_, size(), View<T, S, D>{Buffer<D>{checked().storage}, base(), shape_},
            share_.sum.get()};
  }

 private:
  detail::ParameterStore& checked() const {
    if (!store_)
      throw Error("parameter of " + shape_.text() +
                  " has no elements yet; make the model with build<Model>(key)");
    return *store_;
  }
  T* base() const { return static_cast<T*>(checked().storage.data()) + offset_; }

  [[no_unique_address]] S shape_;
  Initializer initializer_;
  detail::StoreHandle store_;
  Index offset_ = 0;
  ParameterShare share_;
};

/// A parameter that is not trained: it lies in the model's flat storage, is counted, saved, loaded and cloned
/// with it, and no optimizer changes it. Running means and variances are such.
template <Element T, class S, class D = Cpu>
class Statistic : public Parameter<T, S, D> {
 public:
  static constexpr bool is_trained = false;
  using Parameter<T, S, D>::Parameter;
};

namespace detail {
template <class N>
inline constexpr bool is_parametric = requires {
  requires N::parametric;
};
}  // namespace detail

}  // namespace burrow
