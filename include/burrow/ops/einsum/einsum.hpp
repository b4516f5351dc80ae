// einsum: sums of products that are named by their indices, "bij,bjk->bik". The names are read by the
// compiler; contractions become matrix products.
#pragma once

#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/einsum/contract.hpp>

namespace burrow {

namespace misuse {
template <char Character>
struct subscripts_have_letters_commas_and_an_arrow;  // "bij,bjk->bik"
template <char Index>
struct operand_has_more_than_eight_indices;
template <burrow::Index InSubscripts, burrow::Index Given>
struct number_of_operands_is_not_that_of_the_subscripts;
template <char Name>
struct output_index_is_in_no_operand;
template <char Name>
struct output_index_is_given_twice;
template <burrow::Index Operand, class Shape>
struct rank_of_operand_is_not_that_of_its_subscripts;  // operands are counted from 1
template <char Name, burrow::Index First, burrow::Index Second>
struct extents_of_index_differ;
}  // namespace misuse

namespace detail {

/// What is wrong with subscripts for operands of these shapes.
template <FixedString Text, class... S>
constexpr Refusal einsum_refusal() {
  using Reason = Refusal::Reason;
  const Subscripts s = read_subscripts(Text, sizeof...(S));
  Refusal refusal = s.refusal;
  LabelExtents known;
  std::size_t number = 0;
  const auto check = [&](const auto& extents) {
    if (refusal.reason != Reason::none) return;
    const Labels& labels = s.operands[number++];
    if (labels.count != extents.size()) {
      refusal = {Reason::rank, 0, static_cast<Index>(number)};
      return;
    }
    for (std::size_t i = 0; i < extents.size() && refusal.reason == Reason::none; ++i)
      if (!known.meet(labels[i], extents[i]))
        refusal = {Reason::extents, labels[i], known[labels[i]], extents[i]};
  };
  (check(S::extents), ...);
  return refusal;
}

template <FixedString Text, class... S>
inline constexpr bool einsum_fits = einsum_refusal<Text, S...>().reason == Refusal::Reason::none;

template <FixedString Text, class... S>
constexpr auto einsum_misuse() {
  using Reason = Refusal::Reason;
  constexpr Refusal r = einsum_refusal<Text, S...>();
  if constexpr (r.reason == Reason::character)
    return std::type_identity<misuse::subscripts_have_letters_commas_and_an_arrow<r.name>>{};
  else if constexpr (r.reason == Reason::too_many_names)
    return std::type_identity<misuse::operand_has_more_than_eight_indices<r.name>>{};
  else if constexpr (r.reason == Reason::operand_count)
    return std::type_identity<misuse::number_of_operands_is_not_that_of_the_subscripts<r.first, r.second>>{};
  else if constexpr (r.reason == Reason::unknown)
    return std::type_identity<misuse::output_index_is_in_no_operand<r.name>>{};
  else if constexpr (r.reason == Reason::repeated)
    return std::type_identity<misuse::output_index_is_given_twice<r.name>>{};
  else if constexpr (r.reason == Reason::rank)
    return std::type_identity<misuse::rank_of_operand_is_not_that_of_its_subscripts<
        r.first, std::tuple_element_t<static_cast<std::size_t>(r.first - 1), std::tuple<S...>>>>{};
  else
    return std::type_identity<misuse::extents_of_index_differ<r.name, r.first, r.second>>{};
}

template <FixedString Text, class... E>
using EinsumMisuse = typename decltype(einsum_misuse<Text, shape_of<E>...>())::type;

/// Multiplies operands from left to right, each step over the names that nobody needs any more.
template <Subscripts S, std::size_t Next, Labels Done, class Leaf, class... Rest>
auto contract_all(Location where, const Leaf& leaf, const Rest&... rest) {
  if constexpr (sizeof...(Rest) == 0) {
    return reordered<Done, S.output>(leaf);
  } else {
    return [&](const auto& second, const auto&... later) {
      constexpr Labels needed = needed_after<S, Next>();
      constexpr Labels right = S.operands[Next].distinct().among(Done.then(needed));
      constexpr Labels both = Done.then(right.among(Done, false));
      constexpr Labels result = sizeof...(later) == 0 ? S.output : both.among(needed);
      const auto summed = summed_to<S.operands[Next], right>(second);
      return contract_all<S, Next + 1, result>(where, contract<Done, right, result>(leaf, summed, where),
                                               later...);
    }(rest...);
  }
}

template <FixedString Text, class First, class... Rest>
auto einsum(Location where, const First& first, const Rest&... rest) {
  constexpr Subscripts s = read_subscripts(Text, 1 + sizeof...(Rest));
  LabelExtents known;
  std::size_t number = 0;
  const auto check = [&](const auto& operand) {
    const auto extents = operand.shape().values();
    meet_extents(known, s.operands[number], extents.data(), number + 1, where);
    ++number;
  };
  check(first);
  (check(rest), ...);
  const auto tape = tape_of(first, rest...);
  constexpr Labels left = s.operands[0].distinct().among(needed_after<s, 0>());
  return materialize(contract_all<s, 1, left>(where, summed_to<s.operands[0], left>(operand(tape, first)),
                                              operand(tape, rest)...));
}

}  // namespace detail

/// The sum of products of one to three operands that the subscripts name: each letter is an index, and those
/// that are not in the output are summed. `einsum<"bij,bjk->bik">(a, b)` is a batch of matrix products,
/// `einsum<"ii->i">(a)` a diagonal, `einsum<"ij->ji">(a)` a transpose, `einsum<"i,j->ij">(a, b)` an outer
/// product. Without "->" the output has the indices that occur once, in alphabetical order, as in NumPy.
/// Contractions are matrix products, three operands are multiplied from left to right, and bf16 accumulates
/// in fp32. An index has one extent, in all operands and at compile time where it is static; run-time extents
/// that differ throw ShapeError. Gradients are those of the sums and products.
template <FixedString Text, Expression A>
requires detail::einsum_fits<Text, shape_of<A>>
auto einsum(const A& a, Location where = Location::here()) { return detail::einsum<Text>(where, a); }
template <FixedString Text, Expression A, Expression B>
requires detail::einsum_fits<Text, shape_of<A>, shape_of<B>>
auto einsum(const A& a, const B& b, Location where = Location::here()) {
  return detail::einsum<Text>(where, a, b);
}
template <FixedString Text, Expression A, Expression B, Expression C>
requires detail::einsum_fits<Text, shape_of<A>, shape_of<B>, shape_of<C>>
auto einsum(const A& a, const B& b, const C& c, Location where = Location::here()) {
  return detail::einsum<Text>(where, a, b, c);
}

// Subscripts that do not fit; see core/misuse.hpp.
template <FixedString Text, Expression A>
requires(!detail::einsum_fits<Text, shape_of<A>>) detail::EinsumMisuse<Text, A> einsum(const A&,
                                                                                       Location = {});
template <FixedString Text, Expression A, Expression B>
requires(!detail::einsum_fits<Text, shape_of<A>, shape_of<B>>) detail::EinsumMisuse<Text, A, B> einsum(
    const A&, const B&, Location = {});
template <FixedString Text, Expression A, Expression B, Expression C>
requires(!detail::einsum_fits<Text, shape_of<A>, shape_of<B>, shape_of<C>>)
    detail::EinsumMisuse<Text, A, B, C> einsum(const A&, const B&, const C&, Location = {});

}  // namespace burrow
