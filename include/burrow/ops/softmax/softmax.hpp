// Softmax and log-softmax along the last axis.
#pragma once

#include <burrow/ops/softmax/cpu.hpp>

namespace burrow {

/// True where an operation along the last axis of E has a meaning and a gradient.
template <class E>
concept RealRows = Expression<E> && Real<element_of<E>> && shape_of<E>::rank >= 1;

/// y = exp(x - max(x)) / sum(exp(x - max(x))) over each row of the last axis, of x's shape and type; bf16 is
/// computed in fp32. A row that holds +inf or NaN, or nothing but -inf, becomes NaN.
/// Gradient: dx = y (dy - sum(dy y)).
template <RealRows X>
auto softmax(const X& x) {
  using D = device_of<X>;
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  const auto rows = detail::rows_of(in.shape());
  Tensor<element_of<X>, shape_of<X>, D> y{in.shape()};
  softmax_forward(D{}, rows, in.view().data(), y.data());
  return record(
      tape, "softmax", y,
      [in = detail::gradient_place(in), y, rows](const auto& dy) {
        if (const auto dx = detail::dense_target(in)) softmax_backward(D{}, rows, y.data(), dy.data(), dx);
      },
      in);
}

/// y = x - log(sum(exp(x))) over each row of the last axis, in nats, of x's shape and type; bf16 is computed
/// in fp32. Large values do not overflow.
/// Gradient: dx = dy - softmax(x) sum(dy).
template <RealRows X>
auto log_softmax(const X& x) {
  using D = device_of<X>;
  using Normalizer = detail::LogSumExp<compute_type<element_of<X>>>;
  const auto tape = tape_of(x);
  const auto in = dense_operand(tape, x);
  const auto rows = detail::rows_of(in.shape());
  Tensor<element_of<X>, shape_of<X>, D> y{in.shape()};
  const Buffer<D> saved{rows.count * Index{sizeof(Normalizer)}};
  log_softmax_forward(D{}, rows, in.view().data(), y.data(), static_cast<Normalizer*>(saved.data()));
  return record(
      tape, "log_softmax", y,
      [in, saved, rows](const auto& dy) {
        if (const auto dx = detail::dense_target(in))
          log_softmax_backward(D{}, rows, in.view().data(), static_cast<const Normalizer*>(saved.data()),
                               dy.data(), dx);
      },
      in);
}

// What softmax refuses.
namespace operation {
struct softmax;
struct log_softmax;
}  // namespace operation
namespace detail {
template <class Operation, class X>
using RowsMisuse =
    std::conditional_t<Real<element_of<X>>, misuse::axes_do_not_fit<Operation, shape_of<X>, -1>,
                       misuse::element_types_are_refused<Operation, element_of<X>>>;
}  // namespace detail
template <Expression X>
requires(!RealRows<X>) auto softmax(const X&) -> detail::RowsMisuse<operation::softmax, X>;
template <Expression X>
requires(!RealRows<X>) auto log_softmax(const X&) -> detail::RowsMisuse<operation::log_softmax, X>;

}  // namespace burrow
