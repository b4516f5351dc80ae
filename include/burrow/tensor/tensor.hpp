// Tensor<T, Shape, Device>: an owning, row-major value. Copies behave as values: storage is shared until one
// side is written. An expression made from a tensor keeps the elements of that moment.
#pragma once

#include <cstring>
#include <initializer_list>
#include <span>

#include <burrow/core/observe.hpp>
#include <burrow/tensor/activations.hpp>
#include <burrow/tensor/evaluate.hpp>

namespace burrow {

namespace detail {
/// Untraced expressions that broadcast to the shape of a tensor.
template <class E, class Target>
concept AddsTo = !Traced<E> && broadcast_pair<shape_of<E>, shape_of<Target>>::fits &&
                 Matching<ShapeOf<broadcast_pair<shape_of<E>, shape_of<Target>>>, shape_of<Target>>;
template <class Operation, class E, class Target>
using AddsToMisuse = std::conditional_t<Traced<E>, misuse::gradient_would_be_lost<Operation, E>,
                                        misuse::shapes_do_not_fit<Operation, shape_of<Target>, shape_of<E>>>;
}  // namespace detail

template <class T, class S, class D = Cpu>
class Tensor;

namespace detail {

/// A tensor that an operator writes, and the line in which it does.
template <class X>
struct Written {
  Written(X& x, Location here = Location::here()) : tensor{x}, where{here} {}

  X& tensor;
  Location where;
};

/// Puts a storage with a copy of the elements in the place of one that others see as well.
template <class D>
[[gnu::noinline]] void* copy_elements(Buffer<D>& storage, const void* data, Index count, std::size_t size) {
  Buffer<D> own{count * static_cast<Index>(size)};
  if (count > 0) copy_bytes(D{}, D{}, own.data(), data, count * static_cast<Index>(size));
  storage = std::move(own);
  return storage.data();
}

/// The name under which the evaluation of a node is reported: that of its outermost function.
template <class Node>
constexpr const char* node_name() {
  if constexpr (Node::is_leaf)
    return "copy";
  else
    return Node::function_type::name;
}

template <class T, class D>
constexpr ObservedValues observed_values(const T* data, Index count) {
  if constexpr (Real<T> && on_host<D>)
    return {data, count, &first_nonfinite<T>};
  else
    return {data, count, nullptr};
}

/// Bytes of the leaves of an expression.
template <class Node>
double leaf_bytes(const Node& node) {
  if constexpr (is_scalar_node<Node>)
    return 0;
  else if constexpr (Node::is_leaf)
    return static_cast<double>(node.shape().size()) * sizeof(element_of<Node>);
  else
    return detail::apply([](const auto&... a) { return (leaf_bytes(a) + ... + 0.0); }, node.arguments());
}

template <class T, class D>
[[gnu::cold, gnu::noinline]] void tell_values(const char* name, const T* data, std::span<const Index> extents,
                                              const Storage& storage, double read, bool gapless = true) {
  Index count = 1;
  for (const Index extent : extents) count *= extent;
  const ObservedValues written = gapless ? observed_values<T, D>(data, count) : ObservedValues{};
  const Index bytes = count * Index{sizeof(T)};
  tell_end({name,
            false,
            dtype_name<T>(),
            extents,
            bytes,
            storage,
            {&written, 1},
            read + static_cast<double>(bytes)});
}

/// Tells the observers of an operation's value; `read` is how many bytes its operands have.
template <class T, class S, class D>
void tell_value(const char* name, const Tensor<T, S, D>& value, double read) {
  tell_values<T, D>(name, value.data(), value.shape().values(), value.storage(), read);
}

}  // namespace detail

/// An owning, row-major tensor of T with the extents S on device D. Copies behave as values: they share
/// storage until one of them is written.
template <class T, class S, class D>
class Tensor : public detail::OperatorsOf<Tensor<T, S, D>, S::is_static> {
  static_assert(Element<T>, "Tensor: the element type is not one of burrow's (see core/dtype.hpp)");
  static_assert(detail::is_shape<S>, "Tensor: the second argument is a Shape<...>");

 public:
  using element = T;
  using shape_type = S;
  using device = D;
  static constexpr bool is_expression = true;
  static constexpr bool traced = false;

  /// An uninitialised tensor of a static shape.
  Tensor() requires(S::is_static) : Tensor{S{}} {}

  /// An uninitialised tensor of the given extents.
  explicit Tensor(const S& shape)
      : storage_{shape.size() * Index{sizeof(T)}}, data_{static_cast<T*>(storage_.data())}, shape_{shape} {}

  /// The elements of a static shape in row-major order: `Tensor<float, Shape<3>> bias{1, 2, 3}`.
  template <class... U>
  requires(S::is_static && sizeof...(U) > 0 && (Number<U> && ...)) Tensor(U... values) : Tensor{S{}} {
    if constexpr (Index{sizeof...(U)} != S{}.size())
      misuse::number_of_elements_differs<S, int{sizeof...(U)}>{};
    if constexpr (detail::on_host<D>) {
      Index i = 0;
      ((data_[i++] = static_cast<T>(values)), ...);
    } else {
      const T elements[]{static_cast<T>(values)...};
      copy_bytes(Cpu{}, D{}, data_, elements, Index{sizeof(elements)});
    }
  }

  /// Row-major elements; throws ShapeError where their number does not fit the shape.
  Tensor(const S& shape, std::span<const T> values, Location where = Location::here()) : Tensor{shape} {
    if (static_cast<Index>(values.size()) != shape.size())
      throw ShapeError("Tensor: " + std::to_string(values.size()) + " elements do not fill " + shape.text() +
                       at(where));
    if constexpr (detail::on_host<D>)
      std::copy(values.begin(), values.end(), data_);
    else
      copy_bytes(Cpu{}, D{}, data_, values.data(), size() * Index{sizeof(T)});
  }

  /// The values of an expression, computed now. A traced expression is not accepted: its gradient would be
  /// lost.
  template <Expression E>
  requires(!std::same_as<E, Tensor> && !Traced<E> && Matching<shape_of<E>, S>)
      Tensor(const E& expression, Location where = Location::here())
      : Tensor{fitted(expression.shape().values(), where)} {
    const auto& node = detail::node_as<T>(expression);
    detail::check_untraced(node, where);
    if (detail::observed()) detail::tell_beginning();
    evaluate(D{}, node, shape_, data_);
    if (detail::observed())
      detail::tell_value(detail::node_name<std::remove_cvref_t<decltype(node)>>(), *this,
                         detail::leaf_bytes(node));
  }
  template <Traced E>
  Tensor(const E&, misuse::gradient_would_be_lost<Tensor, E>* = nullptr) = delete;

  Tensor(const Tensor&) = default;
  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(const Tensor&) = default;
  Tensor& operator=(Tensor&&) noexcept = default;

  template <Expression E>
  requires detail::AddsTo<E, Tensor>
  friend Tensor& operator+=(detail::Written<Tensor> to, const E& e) {
    return to.tensor = Tensor(detail::map_pair(functors::Add{}, to.tensor, e, to.where), to.where);
  }
  template <Expression E>
  requires detail::AddsTo<E, Tensor>
  friend Tensor& operator-=(detail::Written<Tensor> to, const E& e) {
    return to.tensor = Tensor(detail::map_pair(functors::Subtract{}, to.tensor, e, to.where), to.where);
  }
  template <Expression E>
  requires(!detail::AddsTo<E, Tensor>) auto operator+=(const E&)
      -> detail::AddsToMisuse<functors::Add, E, Tensor>;
  template <Expression E>
  requires(!detail::AddsTo<E, Tensor>) auto operator-=(const E&)
      -> detail::AddsToMisuse<functors::Subtract, E, Tensor>;

  const S& shape() const { return shape_; }
  Index size() const { return shape_.size(); }

  const T* data() const { return data_; }
  /// Elements for writing; where the storage is shared, this tensor first gets its own.
  T* data() {
    own();
    return data_;
  }
  /// The elements in the host's memory.
  std::span<const T> values() const requires detail::on_host<D> {
    return {data_, static_cast<std::size_t>(size())};
  }
  std::span<T> values() requires detail::on_host<D> { return {data(), static_cast<std::size_t>(size())}; }

  template <std::convertible_to<Index>... I>
  requires(sizeof...(I) == S::extents.size() && detail::on_host<D>) const T& operator()(I... index) const {
    return data_[leaf().offset({static_cast<Index>(index)...})];
  }
  /// The element for writing.
  template <std::convertible_to<Index>... I>
  requires(sizeof...(I) == S::extents.size() && detail::on_host<D>) T& operator()(I... index) {
    own();
    return data_[leaf().offset({static_cast<Index>(index)...})];
  }
  template <std::convertible_to<Index>... I>
  requires(sizeof...(I) != S::extents.size()) auto operator()(I...) const
      -> misuse::number_of_indices_differs<S, int{sizeof...(I)}>;
  template <std::convertible_to<Index>... I>
  requires(sizeof...(I) == S::extents.size() && !detail::on_host<D>) auto operator()(I...) const
      -> misuse::elements_are_not_on_the_host<S, D>;

  /// The only element of a tensor of one element; from a device it is copied, which waits for the device.
  T item(Location where = Location::here()) const {
    if (size() != 1) throw ShapeError("item: " + shape_.text() + " has not exactly one element" + at(where));
    if constexpr (detail::on_host<D>) {
      return data_[0];
    } else {
      T value;
      copy_bytes(D{}, Cpu{}, &value, data_, Index{sizeof(T)});
      return value;
    }
  }

  const Buffer<D>& storage() const { return storage_; }
  /// A view that shares the storage.
  View<T, S, D> leaf() const& { return {storage_, data_, shape_}; }
  View<T, S, D> leaf() && { return {std::move(storage_), data_, shape_}; }

  /// A tensor over existing storage, without a copy.
  static Tensor over(const View<T, S, D>& view) {
    return over(view.storage(), const_cast<T*>(view.data()), view.shape());
  }
  static Tensor over(Buffer<D> storage, T* data, const S& shape) {
    return {Shared{}, std::move(storage), data, shape};
  }

 private:
  struct Shared {};
  Tensor(Shared, Buffer<D> storage, T* data, const S& shape)
      : storage_{std::move(storage)}, data_{data}, shape_{shape} {}

  static S fitted(const auto& values, Location where) { return S{values, where}; }

  void own() {
    if (!storage_.unique())
      data_ = static_cast<T*>(detail::copy_elements(storage_, data_, size(), sizeof(T)));
  }

  Buffer<D> storage_;
  T* data_ = nullptr;
  [[no_unique_address]] S shape_;
};

template <Expression E>
Tensor(const E&) -> Tensor<element_of<E>, shape_of<E>, device_of<E>>;
template <Expression E>
Tensor(const E&, Location) -> Tensor<element_of<E>, shape_of<E>, device_of<E>>;

/// The values of an untraced expression as a tensor; a tensor or a view without gaps is handed on without a
/// copy.
template <Expression E>
requires(!Traced<E>) auto materialize(const E& e) {
  using Result = Tensor<element_of<E>, shape_of<E>, device_of<E>>;
  if constexpr (std::same_as<E, Result>)
    return e;
  else if constexpr (detail::is_dense_leaf<detail::node_of<E>>)
    return Result::over(detail::untraced_view(detail::to_node(e)));
  else
    return Result(e);
}

namespace operation {
struct to;
}

/// The values of an untraced expression as a tensor on device To: `to<Cuda>(x)`, `to<Cpu>(x)`. What is there
/// already is handed on without a copy. A copy to the host waits for the device.
template <class To, Expression E>
requires(!Traced<E> && std::derived_from<To, detail::Device>) auto to(const E& e) {
  const auto values = materialize(e);
  if constexpr (std::same_as<To, device_of<E>>) {
    return values;
  } else {
    Tensor<element_of<E>, shape_of<E>, To> copy{values.shape()};
    if (copy.size() > 0)
      copy_bytes(device_of<E>{}, To{}, copy.data(), values.data(),
                 copy.size() * Index{sizeof(element_of<E>)});
    return copy;
  }
}
template <class To, Traced E>
requires std::derived_from<To, detail::Device>
auto to(const E&) -> misuse::gradient_would_be_lost<operation::to, E>;

/// Writes the values of an untraced expression to the elements of a tensor where they lie, so that those who
/// know their address find the new ones: the inputs of a step that is captured and replayed. A copy from the
/// host does not wait for the device. Throws ShapeError where extents differ, and Error where other tensors,
/// views or the expression itself share the elements.
template <class T, class S, class D, Expression E>
requires(!Traced<E> && Matching<shape_of<E>, S>) void assign(Tensor<T, S, D>& to, const E& from,
                                                             Location where = Location::here()) {
  const auto& node = detail::node_as<T>(from);
  if (node.shape().values() != to.shape().values())
    throw ShapeError("assign: values " + node.shape().text() + " for a tensor " + to.shape().text() +
                     at(where));
  if (!to.storage().unique())
    throw Error("assign: the elements of the tensor are shared, they cannot be written in place" + at(where));
  if (detail::observed()) detail::tell_beginning();
  if constexpr (std::same_as<D, device_of<E>>) {
    evaluate(D{}, node, to.shape(), to.data());
  } else {
    const auto values = materialize(node);
    copy_bytes(device_of<E>{}, D{}, to.data(), values.data(), to.size() * Index{sizeof(T)});
  }
  if (detail::observed()) detail::tell_value("assign", std::as_const(to), detail::leaf_bytes(node));
}

}  // namespace burrow
