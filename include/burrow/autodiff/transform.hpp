// Transformations of functions of tensors by reverse mode: value_and_grad, grad, vjp, jacobian. A function
// takes tensors, watched or not, and returns an expression; a model is one as well. Second derivatives and
// forward mode stand in autodiff/forward.hpp.
#pragma once

#include <memory>
#include <tuple>
#include <utility>

#include <burrow/autodiff/checkpoint.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/tensor/device_number.hpp>

namespace burrow {

namespace detail {

/// The extents of A followed by those of B.
template <class A, class B>
struct concatenated {
  static constexpr auto join(const std::array<Index, A::extents.size()>& a,
                             const std::array<Index, B::extents.size()>& b) {
    std::array<Index, A::extents.size() + B::extents.size()> result{};
    for (std::size_t i = 0; i < a.size(); ++i) result[i] = a[i];
    for (std::size_t i = 0; i < b.size(); ++i) result[a.size() + i] = b[i];
    return result;
  }
  static constexpr auto extents = join(A::extents, B::extents);
};

template <class A, class B>
auto concatenated_shape(const A& a, const B& b) {
  using Result = ShapeOf<concatenated<A, B>>;
  return Result{concatenated<A, B>::join(a.values(), b.values())};
}

/// The one element of a tuple, or the tuple.
template <class... T>
auto unwrapped(const std::tuple<T...>& all) {
  if constexpr (sizeof...(T) == 1)
    return std::get<0>(all);
  else
    return all;
}

/// What a function gives that is called with values watched by a tape.
template <class F, class... X>
auto traced_result(const F& f, const std::tuple<X...>& watched) {
  const auto result = std::apply(f, watched);
  static_assert(Traced<decltype(result)>, "the function's result does not depend on its arguments");
  return materialize(result);
}

template <class... X>
auto watched_all(Tape& tape, const X&... x) {
  static_assert((!Traced<X> && ...),
                "a traced argument: reverse mode does not nest; see hvp for second derivatives");
  return std::tuple{tape.watch(materialize(x))...};
}

/// The gradients of all watched values that can have one.
template <class... X>
auto gradients_of(const Tape& tape, const std::tuple<X...>& watched) {
  const auto one = [&](const auto& x) {
    if constexpr (Real<element_of<decltype(x)>>)
      return std::tuple{tape.gradient(x)};
    else
      return std::tuple<>{};
  };
  return unwrapped(std::apply([&](const auto&... x) { return std::tuple_cat(one(x)...); }, watched));
}

}  // namespace detail

/// The value of f(x...), which has one element (on a device a DeviceNumber, for which nobody waited), and its
/// gradients with respect to x...: a tensor for one
/// argument, a tuple of them for several. Arguments of integer type have none and are left out.
template <class F, Expression... X>
requires(sizeof...(X) > 0) auto value_and_grad(const F& f, const X&... x) {
  Tape tape;
  const auto watched = detail::watched_all(tape, x...);
  const auto loss = detail::traced_result(f, watched);
  tape.backward(loss, Location{});
  return std::pair{detail::number_of(loss.value()), detail::gradients_of(tape, watched)};
}

/// The function that gives the gradients of f: grad(f)(x...) is value_and_grad(f, x...).second. A model is
/// held by reference, other functions by copy.
template <class F>
auto grad(const F& f) {
  return [kept = detail::Kept<F>{f}](const Expression auto&... x) {
    return value_and_grad(kept.get(), x...).second;
  };
}

/// Maps a gradient of a result to gradients of the arguments; made by `vjp`. Copies share one record; a call
/// takes time like the backward pass of the function.
template <class Y, class... X>
class Pullback {
 public:
  Pullback(std::shared_ptr<Tape> tape, Y y, std::tuple<X...> watched)
      : tape_{std::move(tape)}, y_{std::move(y)}, watched_{std::move(watched)} {}

  /// The gradients of sum(y * seed). Throws ShapeError where the seed has not y's shape.
  template <Expression Seed>
  requires Matching<shape_of<Seed>, shape_of<Y>>
  auto operator()(const Seed& seed, Location where = Location::here()) const {
    const Tensor<element_of<Y>, shape_of<Y>, device_of<Y>> dy{detail::to_node(seed), where};
    tape_->backward(y_, dy, keep_record, where);
    return detail::gradients_of(*tape_, watched_);
  }

 private:
  std::shared_ptr<Tape> tape_;
  Y y_;
  std::tuple<X...> watched_;
};

/// The value of f(x...), a tensor of any shape, and its pull-back: the function from a seed of that shape to
/// the vector-Jacobian product, the gradients of sum(f(x...) * seed). The pull-back may be called many times.
template <class F, Expression... X>
requires(sizeof...(X) > 0) auto vjp(const F& f, const X&... x) {
  const auto tape = std::make_shared<Tape>();
  const auto watched = detail::watched_all(*tape, x...);
  const auto y = detail::traced_result(f, watched);
  return std::pair{y.value(), Pullback{tape, y, watched}};
}

/// The derivatives of every element of f(x) with respect to every element of x: the shape of f(x) followed by
/// that of x. One forward pass, and a backward pass for each element of f(x); for a short x and a long f(x),
/// forward_jacobian is cheaper.
template <class F, Expression X>
auto jacobian(const F& f, const X& x) {
  const auto [y, pull_back] = vjp(f, x);
  using Y = std::remove_cvref_t<decltype(y)>;
  const auto shape = detail::concatenated_shape(y.shape(), x.shape());
  Tensor<element_of<X>, std::remove_const_t<decltype(shape)>, device_of<X>> result{shape};
  Y seed{y.shape()};
  std::fill_n(seed.data(), seed.size(), element_of<Y>(0));
  for (Index i = 0; i < seed.size(); ++i) {
    seed.data()[i] = element_of<Y>(1);
    const auto row = pull_back(seed);
    std::copy_n(row.data(), row.size(), result.data() + i * row.size());
    seed.data()[i] = element_of<Y>(0);
  }
  return result;
}

}  // namespace burrow
