// The loss of a language model's head: a linear map to the logits of a vocabulary and their cross-entropy, in
// one operation that never holds all logits.
#pragma once

#include <burrow/ops/cross_entropy/cross_entropy.hpp>
#include <burrow/ops/linear_cross_entropy/cpu.hpp>
#include <burrow/ops/weight.hpp>

namespace burrow {

/// Stands for the bias of a linear map that has none.
struct NoBias {};

namespace detail {

template <class E>
constexpr Index last_extent() {
  return shape_of<E>::extents.back();
}

template <class H, class Table>
concept InnerExtentsMeet = shape_of<H>::rank >= 1 && shape_of<Table>::rank == 2 &&
                           Matching<Shape<last_extent<H>()>, Shape<last_extent<Table>()>>;

template <class Table>
using ShapeOfBias = Shape<shape_of<Table>::extents[0]>;

template <class Bias, class Table>
concept OneForEachWord = std::same_as<Bias, NoBias> ||
    (Expression<Bias>&& Real<element_of<Bias>>&& Matching<shape_of<Bias>, ShapeOfBias<Table>>);

/// True where h and table have the same last extent, and there is one integer target for each row of h.
template <class H, class Table, class Targets>
concept LinearLossOperands = Expression<H> && Expression<Table> && Expression<Targets> &&
    Real<element_of<H>> && Real<element_of<Table>> && IndexElement<element_of<Targets>> &&
    InnerExtentsMeet<H, Table> && Matching<shape_of<Targets>, LeadingShape<shape_of<H>>>;

/// The type in which logits are multiplied: half or bf16 where h is, else the wider type.
template <class H, class Table>
using logit_factor = std::conditional_t<Narrow<H>, H, promoted<H, Table>>;

/// How many rows are computed with: those that have a target, or all where the host does not know.
inline Index computed_rows(Index with_target, Index) { return with_target; }
template <class D>
Index computed_rows(const DeviceNumber<Index, D>&, Index all) {
  return all;
}

/// The gradients of one loss with respect to the rows of h that count, table and bias, without a factor.
template <class C, class D>
struct LinearLossRecord {
  Index rows, width, words;
  Buffer<D> positions{}, h{}, table{}, bias{};

  static C* filled(Buffer<D>& buffer, Index count) {
    buffer = Buffer<D>{std::max<Index>(count, 1) * Index{sizeof(C)}};
    return static_cast<C*>(buffer.data());
  }
  static const C* values(const Buffer<D>& buffer) { return static_cast<const C*>(buffer.data()); }
};

/// target (+)= *scale * the gradient of h, in the rows that count.
template <class T, class C, class D>
void add_rows_gradient(const LinearLossRecord<C, D>& saved, const Rows& rows, const C* scale,
                       DenseTarget<T> target) {
  const C* const dh = saved.values(saved.h);
  if (saved.rows == rows.count) return add_scaled(D{}, dh, rows.size(), scale, target);
  if constexpr (on_host<D>) {
    if (!target.accumulate) fill_zero(D{}, target.data, rows.size() * Index{sizeof(T)});
    add_scaled_rows(D{}, Rows{saved.rows, rows.width}, dh, static_cast<const Index*>(saved.positions.data()),
                    scale, target.data);
  }
}

/// The loss in `sum`, and the gradients of what is wanted.
template <class T, class D, class C, class I, class Table, class Bias, class Vocabulary>
LinearLossRecord<C, D> linear_cross_entropy(const T* h, bool h_wanted, const Rows& rows, const I* ids,
                                            Index count, const Table& table, const Bias& bias,
                                            const Vocabulary& vocabulary, C* sum) {
  const auto& extents = table.view.shape().values();
  LinearLossRecord<C, D> saved{count, rows.width, extents[0]};
  const CountedRows<T, D> counted = counted_rows(D{}, h, ids, rows, count, vocabulary.first());
  saved.positions = counted.positions;
  const bool by_column = order_of(table.view) == Order::by_column;
  const Index stride = std::max<Index>(by_column ? extents[0] : extents[1], 1);
  Storage table_room, bias_room;
  // A wide table is rounded as it is multiplied.
  using G = std::conditional_t<Narrow<T>, typename decltype(table.view)::element, T>;
  LinearLogits<T, G> in{count,
                        rows.width,
                        extents[0],
                        counted.h,
                        {weight_elements<G>(table.view, table_room), stride, by_column},
                        nullptr,
                        static_cast<const Index*>(counted.targets.data())};
  LinearLossGradients<C> gradients;
  if constexpr (!std::same_as<Bias, NoBias>) {
    in.bias = weight_elements<C>(bias.view, bias_room);
    if (bias.wanted() && count > 0) gradients.bias = saved.filled(saved.bias, in.words);
  }
  if (h_wanted && count > 0) gradients.h = saved.filled(saved.h, count * rows.width);
  if (table.wanted() && count > 0) gradients.table = saved.filled(saved.table, in.words * rows.width);
  if (observed()) {
    const double product = static_cast<double>(count * rows.width) * static_cast<double>(in.words);
    tell_work({2 * product * (1 + (gradients.h != nullptr) + (gradients.table != nullptr)),
               static_cast<double>(count * rows.width) * sizeof(T) +
                   static_cast<double>(in.words * rows.width) * sizeof(G),
               dtype_name<T>()});
  }
  const Buffer<D> likelihoods{count * Index{sizeof(C)}};
  linear_log_likelihoods(D{}, in, static_cast<C*>(likelihoods.data()), gradients, vocabulary);
  negated_sum(D{}, static_cast<const C*>(likelihoods.data()), count, sum);
  return saved;
}

template <class C>
void add_scaled_gradient(const NoBias&, const C*, const C*) {}

/// The bias as a weight, or as the absence of one.
template <class TapeLike, class Bias>
auto bias_operand(TapeLike tape, const Bias& bias) {
  if constexpr (std::same_as<Bias, NoBias>)
    return bias;
  else
    return weight_operand(tape, bias);
}

template <class H, class Table, class Bias>
void check_linear_loss(const H& h, const Table& table, const Bias& bias, Location where) {
  if (h[-1] != table[1])
    throw ShapeError("linear_cross_entropy: the last axis of " + h.text() + " does not fit the table " +
                     table.text() + at(where));
  if constexpr (!std::same_as<Bias, NoBias>)
    if (bias.shape()[0] != table[0])
      throw ShapeError("linear_cross_entropy: bias " + bias.shape().text() + " does not fit the table " +
                       table.text() + at(where));
}

template <class TapeLike, class H, class Table, class Bias, class Targets, class Vocabulary = WholeVocabulary>
auto linear_cross_entropy(TapeLike tape, const H& h, const Table& table, const Bias& bias,
                          const Targets& targets, Location where, const Vocabulary& vocabulary = {}) {
  using T = logit_factor<element_of<H>, element_of<Table>>;
  using C = compute_type<T>;
  using D = device_of<H>;
  check_linear_loss(h.shape(), table.shape(), bias, where);
  const auto in = dense_operand(tape, cast<T>(h));
  const auto ids = dense_operand(tape, targets);
  const auto weights = weight_operand(tape, table);
  const auto biases = bias_operand(tape, bias);
  const Rows rows = rows_of(in.shape());
  for (int axis = 0; axis < shape_of<Targets>::rank; ++axis)
    if (ids.shape()[axis] != in.shape()[axis])
      throw ShapeError("linear_cross_entropy: targets " + ids.shape().text() + " do not fit the rows of " +
                       in.shape().text() + at(where));
  const auto count = count_indices(D{}, "linear_cross_entropy", "target", ids.view().data(), ids.shape(),
                                   vocabulary.words(weights.view.shape()[0]), where);
  Tensor<C, Shape<>, D> sum{};
  const auto run = [&](bool h_wanted) {
    return linear_cross_entropy<T, D>(in.view().data(), h_wanted, rows, ids.view().data(),
                                      computed_rows(count, rows.count), weights, biases, vocabulary,
                                      sum.data());
  };
  if constexpr (!TapeLike::tracing) {
    run(false);
    auto recorded = record(tape, "linear_cross_entropy", sum, [](const auto&) {});
    return cross_entropy_of(std::move(recorded), count);
  } else {
    const auto saved = run(any_wanted(*tape.tape, in));
    auto recorded = record_wanted(
        tape, "linear_cross_entropy", sum,
        [in = gradient_place(in), rows, weights, biases, saved](const auto& dsum) {
          const C* const scale = dsum.data();
          if (saved.h) add_rows_gradient(saved, rows, scale, dense_target(in));
          if (saved.table) add_scaled_gradient(weights, saved.values(saved.table), scale);
          if (saved.bias) add_scaled_gradient(biases, saved.values(saved.bias), scale);
        },
        saved.h || saved.table || saved.bias);
    return cross_entropy_of(std::move(recorded), count);
  }
}

}  // namespace detail

/// cross_entropy(h table^T + bias, targets), for vocabularies whose logits would not fit: h is [..., C],
/// table [V, C] (a tied embedding, or the transpose of a Linear's weight), bias [V] or left out, targets
/// integers
/// [...]. A block of rows of logits is in memory at a time. Where h is bf16 so are the factors of the
/// products, whatever the type of the table; logits and softmax are fp32, for double double. Rows whose
/// target is negative are not counted; they cost nothing on the CPU, on a GPU as much as others. Throws as
/// cross_entropy does. Gradients are computed in the forward pass, while a block of logits is at hand, and
/// are multiplied by dsum in the backward pass: dlogits = softmax - one-hot, dh = dlogits table, dtable =
/// dlogits^T h, dbias = the sum of the rows of dlogits. Those of table and h are kept until then, in fp32;
/// those of a table or an h that is not differentiated are not computed.
template <Expression H, Expression Table, Expression Bias, Expression Targets>
requires detail::LinearLossOperands<H, Table, Targets> && detail::OneForEachWord<Bias, Table>
auto linear_cross_entropy(const H& h, const Table& table, const Bias& bias, const Targets& targets,
                          Location where = Location::here()) {
  return detail::linear_cross_entropy(tape_of(h, table, bias, targets), h, table, bias, targets, where);
}
template <Expression H, Expression Table, Expression Targets>
requires detail::LinearLossOperands<H, Table, Targets>
auto linear_cross_entropy(const H& h, const Table& table, const Targets& targets,
                          Location where = Location::here()) {
  return detail::linear_cross_entropy(tape_of(h, table, targets), h, table, NoBias{}, targets, where);
}

// What linear_cross_entropy refuses.
namespace operation {
struct linear_cross_entropy;
}
namespace detail {
template <class H, class Table, class Bias, class Targets>
using LinearLossMisuse = std::conditional_t<
    Real<element_of<H>> && Real<element_of<Table>> && Real<element_of<Bias>> &&
        IndexElement<element_of<Targets>>,
    misuse::shapes_do_not_fit<operation::linear_cross_entropy, shape_of<H>, shape_of<Table>, shape_of<Bias>,
                              shape_of<Targets>>,
    misuse::element_types_are_refused<operation::linear_cross_entropy, element_of<H>, element_of<Table>,
                                      element_of<Bias>, element_of<Targets>>>;
}  // namespace detail
template <Expression H, Expression Table, Expression Bias, Expression Targets>
requires(!detail::LinearLossOperands<H, Table, Targets> ||
         !detail::OneForEachWord<Bias, Table>) auto linear_cross_entropy(const H&, const Table&, const Bias&,
                                                                         const Targets&, Location = {})
    -> detail::LinearLossMisuse<H, Table, Bias, Targets>;
template <Expression H, Expression Table, Expression Targets>
requires(!detail::LinearLossOperands<H, Table, Targets>) auto linear_cross_entropy(const H&, const Table&,
                                                                                   const Targets&,
                                                                                   Location = {})
    -> detail::LinearLossMisuse<H, Table, H, Targets>;

}  // namespace burrow
