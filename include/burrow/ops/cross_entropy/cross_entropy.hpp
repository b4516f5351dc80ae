// The negative log-likelihood of target tokens under rows of logits.
#pragma once

#include <burrow/ops/cross_entropy/cpu.hpp>
#include <burrow/tensor/device_number.hpp>
#include <burrow/tensor/indexing.hpp>

namespace burrow {

/// A loss as a sum and the number of its terms, divided once, when all of them are known. Sum is a tensor of
/// rank 0, traced where the logits are; Count is Index, on a GPU a DeviceNumber of it, which was not waited
/// for.
template <class Sum, class Count = Index>
struct CrossEntropy {
  Sum sum;      ///< of the negative log-likelihoods, in nats
  Count count;  ///< of targets that are not left out

  /// The loss of a batch that was not cut: the sum over the number of its terms, NaN of none.
  auto mean() const {
    using T = element_of<Sum>;
    if constexpr (std::same_as<Count, Index>)
      return sum / static_cast<T>(count);
    else
      return sum / cast<T>(count.tensor());
  }
};

namespace detail {

template <class Sum, class Count>
CrossEntropy<Sum, Count> cross_entropy_of(Sum sum, Count count) {
  return {std::move(sum), std::move(count)};
}

template <class S>
using LeadingShape = ShapeOf<without_axis<S, -1>>;

/// True where there is one integer target for each row of the logits (or may be at run time).
template <class Targets, class Logits>
concept TargetsOf = Expression<Targets> && Expression<Logits> && IndexElement<element_of<Targets>> &&
                        Real<element_of<Logits>> && shape_of<Logits>::rank >= 1 &&
                    Matching<shape_of<Targets>, LeadingShape<shape_of<Logits>>>;

[[noreturn, gnu::cold, gnu::noinline]] inline void targets_do_not_fit(const char* operation,
                                                                      std::span<const Index> targets,
                                                                      std::span<const Index> logits,
                                                                      Location where) {
  throw ShapeError(std::string(operation) + ": targets " + shape_text(targets.data(), targets.size()) +
                   " do not fit the rows of logits " + shape_text(logits.data(), logits.size()) + at(where));
}

/// Throws where run-time extents do not fit or a target is not below the number of logits; else the number of
/// targets that are not negative.
template <class Logits, class Targets>
auto count_targets(const char* operation, const Logits& logits, const Targets& targets, Location where) {
  for (int axis = 0; axis < shape_of<Targets>::rank; ++axis)
    if (targets.shape()[axis] != logits.shape()[axis])
      targets_do_not_fit(operation, targets.shape().values(), logits.shape().values(), where);
  return count_indices(device_of<Targets>{}, operation, "target", targets.view().data(), targets.shape(),
                       logits.shape()[-1], where);
}

}  // namespace detail

/// The summed negative log-likelihood of the targets, -log(softmax(logits)[target]) in nats, and their
/// number. logits are [..., V], targets are integers [...]. A negative target is ignored and not counted. The
/// sum is fp32 for float and bf16, double for double; of the forward pass only the log-sum-exp of each row is
/// kept beside the logits. Throws ValueError where a target is not below V, ShapeError where dynamic extents
/// differ.
/// Gradient: dlogits = (softmax(logits) - one-hot(target)) dsum, and 0 in rows that are ignored.
template <Expression Logits, Expression Targets>
requires detail::TargetsOf<Targets, Logits>
auto cross_entropy(const Logits& logits, const Targets& targets, Location where = Location::here()) {
  using D = device_of<Logits>;
  using C = compute_type<element_of<Logits>>;
  using Normalizer = detail::LogSumExp<C>;
  const auto tape = tape_of(logits, targets);
  const auto in = dense_operand(tape, logits);
  const auto ids = dense_operand(tape, targets);
  const auto count = detail::count_targets("cross_entropy", in, ids, where);
  const auto rows = detail::rows_of(in.shape());
  const Buffer<D> saved{rows.count * Index{sizeof(Normalizer)}};
  Tensor<C, Shape<dyn>, D> likelihoods{Shape<dyn>{{rows.count}}};
  target_log_likelihoods(D{}, rows, in.view().data(), ids.view().data(),
                         static_cast<Normalizer*>(saved.data()), likelihoods.data());
  Tensor<C, Shape<>, D> sum{};
  negated_sum(D{}, likelihoods.data(), rows.count, sum.data());
  auto recorded = record(
      tape, "cross_entropy", sum,
      [in, ids, saved, rows](const auto& dsum) {
        if (const auto dlogits = detail::dense_target(in))
          cross_entropy_backward(D{}, rows, in.view().data(), ids.view().data(),
                                 static_cast<const Normalizer*>(saved.data()), dsum.data(), dlogits);
      },
      in);
  return detail::cross_entropy_of(std::move(recorded), count);
}

/// log(softmax(logits)[target]) of each token in nats, of the targets' shape, 0 where a target is negative;
/// types, shapes and errors as of cross_entropy. Has no gradient.
template <Expression Logits, Expression Targets>
requires(detail::TargetsOf<Targets, Logits> && !Traced<Logits> &&
         !Traced<Targets>) auto token_log_likelihoods(const Logits& logits, const Targets& targets,
                                                      Location where = Location::here()) {
  using D = device_of<Logits>;
  using C = compute_type<element_of<Logits>>;
  using Normalizer = detail::LogSumExp<C>;
  const auto in = dense_operand(detail::NoTape{}, logits);
  const auto ids = dense_operand(detail::NoTape{}, targets);
  detail::count_targets("token_log_likelihoods", in, ids, where);
  const auto rows = detail::rows_of(in.shape());
  const Buffer<D> normalizers{rows.count * Index{sizeof(Normalizer)}};
  Tensor<C, shape_of<Targets>, D> result{ids.shape()};
  target_log_likelihoods(D{}, rows, in.view().data(), ids.view().data(),
                         static_cast<Normalizer*>(normalizers.data()), result.data());
  return result;
}

// What cross_entropy refuses.
namespace operation {
struct cross_entropy;
struct token_log_likelihoods;
}  // namespace operation
namespace detail {
template <class Operation, class Logits, class Targets>
using TargetsMisuse =
    std::conditional_t<Real<element_of<Logits>> && IndexElement<element_of<Targets>>,
                       misuse::shapes_do_not_fit<Operation, shape_of<Logits>, shape_of<Targets>>,
                       misuse::element_types_are_refused<Operation, element_of<Logits>, element_of<Targets>>>;
}  // namespace detail
template <Expression Logits, Expression Targets>
requires(!detail::TargetsOf<Targets, Logits>) auto cross_entropy(const Logits&, const Targets&, Location = {})
    -> detail::TargetsMisuse<operation::cross_entropy, Logits, Targets>;
template <Expression Logits, Expression Targets>
requires(!detail::TargetsOf<Targets, Logits>) auto token_log_likelihoods(const Logits&, const Targets&,
                                                                         Location = {})
    -> detail::TargetsMisuse<operation::token_log_likelihoods, Logits, Targets>;

}  // namespace burrow
