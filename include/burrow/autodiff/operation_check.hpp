// A test driver for operations: check_operation(op, x...) runs an operation in every way in which burrow's
// own are checked, and throws where two ways disagree.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/core/parallel.hpp>

namespace burrow {

/// How far float and bf16 may be from double, relative to 1 + the largest element of a result or gradient; 0
/// leaves that type out at run time.
struct OperationTolerances {
  double in_float = 1e-5;  ///< of the float result from the double one
  double in_bf16 = 3e-2;   ///< of the bf16 result
};

namespace detail {

/// The value of an operation and the gradients of its real arguments, as plain numbers.
struct OperationResult {
  std::vector<double> value;
  std::vector<std::vector<double>> gradients;
};

inline void compare_numbers(const std::string& way, const std::string& what, const std::vector<double>& found,
                            const std::vector<double>& expected, double tolerance) {
  if (found.size() != expected.size())
    throw Error("check_operation: " + way + ": " + what + " has " + std::to_string(found.size()) +
                " elements, expected " + std::to_string(expected.size()));
  double largest = 0;
  for (const double number : expected) largest = std::max(largest, std::abs(number));
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(found[i]) && std::isnan(expected[i])) continue;
    if (found[i] == expected[i] || std::abs(found[i] - expected[i]) <= tolerance * (1 + largest)) continue;
    throw Error("check_operation: " + way + ": element " + std::to_string(i) + " (row-major) of " + what +
                " is " + std::to_string(found[i]) + ", expected " + std::to_string(expected[i]));
  }
}

inline void compare_results(const std::string& way, const OperationResult& found,
                            const OperationResult& expected, double tolerance) {
  compare_numbers(way, "the value", found.value, expected.value, tolerance);
  for (std::size_t k = 0; k < expected.gradients.size(); ++k)
    compare_numbers(way, "the gradient of real argument " + std::to_string(k), found.gradients[k],
                    expected.gradients[k], tolerance);
}

/// Runs an operation on watched values and sweeps, with fixed weights times `factor` as the gradient of its
/// result.
template <class Op, class... X>
OperationResult run_weighted(double factor, const Op& op, const X&... x) {
  Tape tape;
  const Tuple<decltype(tape.watch(x))...> watched{tape.watch(x)...};
  const auto result = detail::apply(op, watched);
  static_assert(Traced<decltype(result)>, "check_operation: the result does not depend on the arguments");
  const auto y = materialize(result);
  sweep_weighted<bf16>(tape, y, factor);
  OperationResult found{numbers_of(y.value()), {}};
  const auto add = [&](const auto& w) {
    if constexpr (Real<element_of<decltype(w)>>) found.gradients.push_back(numbers_of(tape.gradient(w)));
  };
  detail::apply([&](const auto&... w) { (add(w), ...); }, watched);
  return found;
}

template <class Op, class... X>
OperationResult run_traced(const Op& op, const X&... x) {
  return run_weighted(1, op, x...);
}

/// The elements as T where they are real, each a number that bf16 holds; integers stay.
template <class T, class X>
auto with_elements(const X& x) {
  if constexpr (Real<element_of<X>>)
    return Tensor<T, shape_of<X>>(cast<T>(cast<bf16>(x)));
  else
    return materialize(x);
}

template <class S>
struct all_dynamic {
  static constexpr auto extents = [] {
    auto result = S::extents;
    for (Index& extent : result)
      if (extent != 1) extent = dyn;  // only a static 1 is broadcast
    return result;
  }();
};

template <class X>
auto with_dynamic_shape(const X& x) {
  return Tensor<element_of<X>, ShapeOf<all_dynamic<shape_of<X>>>>(to_node(x));
}

/// The same values as a lazy expression of two leaves, of which one is repeated along the first axis.
template <class X>
auto as_expression(const X& x) {
  if constexpr (!Real<element_of<X>> || shape_of<X>::rank == 0)
    return x;
  else
    return x * 0.5 + slice<0, 1>(x, 0) * 0.25;
}

/// The same values in a view with gaps or with its axes exchanged.
template <class X>
auto as_strided(const X& x) {
  if constexpr (!Real<element_of<X>> || shape_of<X>::rank == 0) {
    return x;
  } else if constexpr (shape_of<X>::rank > 1) {
    return transpose(materialize(transpose(x)));
  } else {
    const Index count = x.shape()[0];
    const Tensor<element_of<X>, Shape<2>> pair{1, 2};
    const auto column =
        reshape<Shape<shape_of<X>::extents[0], 1>>(x, Shape<shape_of<X>::extents[0], 1>{{count, 1}});
    return at<1>(materialize(column * pair), 0);
  }
}

/// Arguments of one type and shape may be one tensor: the gradients then add up.
template <class Op, class First, class... Rest>
void check_aliased(const Op& op, const First& first, const Rest&... rest) {
  constexpr bool same = Real<element_of<First>> && (std::same_as<First, Rest> && ...);
  if constexpr (same && sizeof...(Rest) > 0) {
    if (!((first.shape() == rest.shape()) && ...)) return;
    const auto apart = run_traced(op, first, (static_cast<void>(rest), first)...);
    auto together = apart;
    together.gradients.assign(1, apart.gradients[0]);
    for (std::size_t k = 1; k < apart.gradients.size(); ++k)
      for (std::size_t i = 0; i < apart.gradients[k].size(); ++i)
        together.gradients[0][i] += apart.gradients[k][i];
    const auto aliased = [&](const auto& x) { return op(x, (static_cast<void>(rest), x)...); };
    compare_results("aliased operands", run_traced(aliased, first), together, 1e-12);
  }
}

template <class Op, class... X>
void check_number_types(const OperationTolerances& tolerances, const Op& op, const OperationResult& expected,
                        const X&... x) {
  if (tolerances.in_float > 0)
    compare_results("float", run_traced(op, with_elements<float>(x)...), expected, tolerances.in_float);
  if (tolerances.in_bf16 > 0)
    compare_results("bf16", run_traced(op, with_elements<bf16>(x)...), expected, tolerances.in_bf16);
}

template <class Op, class... X>
void check_layouts(const Op& op, const OperationResult& expected, const X&... x) {
  compare_results("run-time extents", run_traced(op, with_dynamic_shape(x)...), expected, 1e-14);
  const auto strided = [&](const auto&... a) { return op(as_strided(a)...); };
  compare_results("strided operands", run_traced(strided, x...), expected, 1e-12);
  const auto fused = [&](const auto&... a) { return op(as_expression(a)...); };
  const auto unfused = [&](const auto&... a) { return op(materialize(as_expression(a))...); };
  compare_results("fused and broadcast operands", run_traced(fused, x...), run_traced(unfused, x...), 1e-12);
  const auto twice = [&](const auto&... a) { return materialize(op(a...)) + materialize(op(a...)); };
  auto doubled = expected;
  for (double& number : doubled.value) number *= 2;
  for (auto& gradient : doubled.gradients)
    for (double& number : gradient) number *= 2;
  compare_results("operands used twice", run_traced(twice, x...), doubled, 1e-12);
}

template <class Op, class... X>
void check_threads(const Op& op, const OperationResult& expected, const X&... x) {
  struct Restore {
    int count = threads();
    ~Restore() { set_threads(count); }
  } const restore;
  for (const int count : {1, 2, 3}) {
    set_threads(count);
    compare_results(std::to_string(count) + " threads", run_traced(op, x...), expected, 0);
  }
}

/// NaN in place of real elements.
template <class X>
X all_nan(X x) {
  if constexpr (Real<element_of<X>>) std::fill_n(x.data(), x.size(), element_of<X>(std::nan("")));
  return x;
}

/// What observers are told of: how many passes of operations, and whether what they wrote was finite.
class ToldOperations : public Observer {
 public:
  struct Pass {
    int operations = 0;
    bool finite = true;
  } forward, backward;

  void finishes(const ObservedOperation& operation) override {
    Pass& pass = operation.backward ? backward : forward;
    ++pass.operations;
    for (const ObservedValues& values : operation.written)
      if (values.data != nullptr && values.first_nonfinite != nullptr)
        pass.finite = pass.finite && values.first_nonfinite(values.data, values.count) < 0;
  }
};

inline bool all_finite(const std::vector<double>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); });
}

/// `Trace` and `Profile` see both passes, and `DetectAnomaly` what they write.
template <class Op, class... X>
void check_observed(const Op& op, const OperationResult& expected, const X&... x) {
  const auto require = [](bool holds, const char* what) {
    if (!holds)
      throw Error(std::string("check_operation: observers are not told of ") + what +
                  "; record(...) tells them of what it is given");
  };
  ToldOperations told;
  compare_results("under an observer", run_traced(op, x...), expected, 0);
  require(told.forward.operations > 0, "the value");
  require(told.backward.operations > 0, "the backward pass");
  try {
    const OperationResult unknown = run_traced(op, all_nan(x)...);
    require(all_finite(unknown.value) || !told.forward.finite, "a NaN in the value");
  } catch (const ValueError&) {
    // An operation may refuse NaN.
  }
  const OperationResult without_gradient = run_weighted(std::nan(""), op, x...);
  for (const auto& gradient : without_gradient.gradients)
    require(all_finite(gradient) || !told.backward.finite, "a NaN in the gradients");
}

}  // namespace detail

/// Checks an operation and its gradient as burrow's own are checked. x are tensors of double with static
/// extents, or of integers, which are handed through; op takes them, watched or not, in any real type.
/// Compares
/// - the gradient with differences in double (as `check_gradient`),
/// - the value without a trace with the value under one, bit by bit,
/// - float and bf16 with double, within the tolerances,
/// - run-time extents, strided operands, and operands used twice with the plain call,
/// - fused and broadcast operands with evaluated ones, one tensor in place of all operands with equal ones,
/// - one, two and three threads, bit by bit (choose operands that are large enough to be shared among
/// threads),
/// - what observers are told: `Trace` of both passes, `DetectAnomaly` of a NaN that reaches a result. Throws
/// Error, which says what disagrees and where.
template <class Op, class... X>
void check_operation(const OperationTolerances& tolerances, const Op& op, const X&... x) {
  static_assert((shape_of<X>::is_static && ...), "check_operation: the arguments have static extents");
  const detail::Tuple<decltype(detail::with_elements<double>(x))...> arguments{
      detail::with_elements<double>(x)...};
  detail::apply(
      [&](const auto&... a) {
        const auto expected = detail::run_traced(op, a...);
        const auto plain = materialize(op(a...));
        detail::compare_numbers("untraced operands", "the value", detail::numbers_of(plain), expected.value,
                                0);
        detail::check_threads(op, expected, a...);
        detail::check_observed(op, expected, a...);
        check_gradient(op, a...);
        detail::check_number_types(tolerances, op, expected, a...);
        detail::check_layouts(op, expected, a...);
        detail::check_aliased(op, a...);
      },
      arguments);
}
template <class Op, Expression... X>
void check_operation(const Op& op, const X&... x) {
  check_operation(OperationTolerances{}, op, x...);
}

}  // namespace burrow
