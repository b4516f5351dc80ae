// Writing to a part of a tensor: part(x, indices...) = expression.
#pragma once

#include <burrow/tensor/functions.hpp>
#include <burrow/tensor/slicing.hpp>

namespace burrow {

/// What can be written to a part of shape S: a number, or an untraced expression that broadcasts to S.
template <class E, class S>
concept AssignableTo = std::is_arithmetic_v<E> ||(Expression<E>&& detail::broadcasts_to<shape_of<E>, S>());

namespace operation {
struct part;
}  // namespace operation

/// Part of a tensor for writing; made by `part` and written at once.
template <class T, class S, class D, class Seen>
class TensorPart {
 public:
  using shape_type = shape_of<Seen>;

  /// `seen` is the part of the tensor's present elements.
  TensorPart(Tensor<T, S, D>& tensor, const Seen& seen, Location where)
      : tensor_{tensor}, offset_{seen.data() - std::as_const(tensor).data()}, seen_{seen}, where_{where} {}
  TensorPart(const TensorPart&) = delete;
  TensorPart& operator=(const TensorPart&) = delete;

  template <AssignableTo<shape_type> E>
  requires(!Traced<E>) void operator=(const E& e) && { write(e); }
  template <AssignableTo<shape_type> E>
  requires(!Traced<E>) void operator+=(const E& e) && {
    write(detail::map_pair(functors::Add{}, present(), e, where_));
  }
  template <AssignableTo<shape_type> E>
  requires(!Traced<E>) void operator-=(const E& e) && {
    write(detail::map_pair(functors::Subtract{}, present(), e, where_));
  }
  template <AssignableTo<shape_type> E>
  requires(!Traced<E>) void operator*=(const E& e) && {
    write(detail::map_pair(functors::Multiply{}, present(), e, where_));
  }
  template <AssignableTo<shape_type> E>
  requires(!Traced<E>) void operator/=(const E& e) && {
    write(detail::map_pair(functors::Divide{}, present(), e, where_));
  }

  /// A write is not recorded. What is traced goes into with_part(x, e, indices...), whose result is traced.
  template <Traced E>
  auto operator=(const E&) && -> misuse::gradient_would_be_lost<operation::part, E>;

 private:
  using Layout = typename Seen::layout;
  static constexpr int gapless = Seen::contiguous ? shape_type::rank : Layout::unit_inner ? 1 : 0;

  /// The part as it is now, in storage that only the tensor has.
  Seen present() {
    T* const data = tensor_.data() + offset_;
    if constexpr (Seen::contiguous)
      return {{}, data, seen_.shape()};
    else
      return {{}, data, seen_.shape(), seen_.strides()};
  }

  template <class E>
  void write(const E& e) {
    if constexpr (!Expression<E>) {
      evaluate(detail::scalar_node<T>(e));
    } else {
      detail::check_broadcasts_to("part", e.shape(), seen_.shape(), where_);
      const auto& node = detail::node_as<T>(e);
      detail::check_untraced(node, where_);
      evaluate(node);
    }
  }

  template <class Node>
  void evaluate(const Node& node) {
    if (detail::observed()) detail::tell_beginning();
    T* const to = tensor_.data() + offset_;
    evaluate_into<gapless>(D{}, node, seen_.shape(), to, seen_.strides());
    if (detail::observed())
      detail::tell_values<T, D>("part", to, seen_.shape().values(), std::as_const(tensor_).storage(),
                                detail::leaf_bytes(node), Seen::contiguous);
  }

  Tensor<T, S, D>& tensor_;
  Index offset_;
  Seen seen_;
  Location where_;
};

/// The part of a tensor that view(x, indices...) shows, to be written: `part(x, whole_axis, 0) = y`, or with
/// +=,
/// -=,
/// *=, /=. What is written is a number or an untraced expression that broadcasts to the part; it is computed
/// straight into x. Where others share the elements of x (copies, views, the expression that is written), x
/// first gets its own, so they keep what they had. Errors as for `view`, and ShapeError where extents known
/// at run time do not fit.
template <Element T, class S, class D, AxisIndexing I0, AxisIndexing I1 = detail::NoIndex,
          AxisIndexing I2 = detail::NoIndex, AxisIndexing I3 = detail::NoIndex,
          AxisIndexing I4 = detail::NoIndex, AxisIndexing I5 = detail::NoIndex,
          AxisIndexing I6 = detail::NoIndex, AxisIndexing I7 = detail::NoIndex>
auto part(Tensor<T, S, D>& x, const I0& i0, const I1& i1 = {}, const I2& i2 = {}, const I3& i3 = {},
          const I4& i4 = {}, const I5& i5 = {}, const I6& i6 = {}, const I7& i7 = {},
          Location where = Location::here()) {
  // Without a handle to the storage, so that the part itself is no reason to copy it.
  const View<T, S, D> all{{}, const_cast<T*>(std::as_const(x).data()), x.shape()};
  const auto seen = detail::indexed("part", all, where, i0, i1, i2, i3, i4, i5, i6, i7);
  return TensorPart<T, S, D, std::remove_const_t<decltype(seen)>>{x, seen, where};
}

// What part refuses.
template <Element T, class S, class D, AxisIndexing... I>
requires(!detail::IndicesFit<S, I...>) auto part(Tensor<T, S, D>&, const I&...)
    -> misuse::indices_do_not_fit<operation::part, S, I...>;

}  // namespace burrow
