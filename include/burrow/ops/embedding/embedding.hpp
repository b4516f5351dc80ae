// Rows of a table looked up by integer ids.
#pragma once

#include <burrow/ops/gather/cpu.hpp>
#include <burrow/ops/weight.hpp>

namespace burrow {

namespace detail {

template <class S, Index Extent>
struct appended {
  static constexpr auto extents = [] {
    std::array<Index, S::extents.size() + 1> result{};
    for (std::size_t i = 0; i < S::extents.size(); ++i) result[i] = S::extents[i];
    result.back() = Extent;
    return result;
  }();
};

/// True where a table has rows of real numbers and ids are integers.
template <class Table, class Ids>
concept EmbeddingOperands =
    Expression<Table> && Expression<Ids> && Real<element_of<Table>> && shape_of<Table>::rank == 2 &&
    IndexElement<element_of<Ids>>;

}  // namespace detail

/// y[..., :] = table[ids[...], :]. The table is [V, C], ids are integers [...], y is [..., C] with elements
/// of type T, or of the table's type: `embedding<bf16>(table, ids)` converts the rows it reads, not the
/// table. Traced ids carry the tape to a table that is a parameter. Throws ValueError where an id is not in
/// [0, V). Gradient: dtable[v, :] = sum of dy[..., :] where ids[...] == v, in the order of positions: only
/// the rows that were read are touched where the table is a parameter.
template <class T = void, Expression Table, Expression Ids>
requires detail::EmbeddingOperands<Table, Ids>
auto embedding(const Table& table, const Ids& ids, Location where = Location::here()) {
  using D = device_of<Table>;
  using Result = std::conditional_t<std::is_void_v<T>, element_of<Table>, T>;
  using S = ShapeOf<detail::appended<shape_of<Ids>, shape_of<Table>::extents[1]>>;
  static_assert(Real<Result>, "embedding: the result has a floating-point type");
  const auto tape = tape_of(table, ids);
  const auto from = detail::dense_weight_operand(tape, table);
  const auto which = dense_operand(tape, ids);
  const Index vocabulary = from.view.shape()[0], width = from.view.shape()[1];
  check_indices(D{}, "embedding", "id", which.view().data(), which.shape(), vocabulary, false, where);
  std::array<Index, S::extents.size()> extents{};
  std::copy_n(which.shape().values().begin(), extents.size() - 1, extents.begin());
  extents.back() = width;
  Tensor<Result, S, D> y{S{extents}};
  const detail::Lines rows{1, vocabulary, width};
  const Index count = which.shape().size();
  gather_forward(D{}, rows, which.view().data(), count, from.view.data(), y.data());
  const Work moved{0, static_cast<double>(count * rows.inner) * (sizeof(element_of<Table>) + sizeof(Result))};
  if (detail::observed()) detail::tell_work(moved);
  return detail::record_weighted(
      tape, "embedding", y,
      [from, which, rows, count, moved](const auto& dy) {
        if (detail::observed()) detail::tell_work(moved);
        if (const auto dtable = detail::dense_target_of(from))
          scatter_sum(D{}, rows, which.view().data(), count, dy.data(), dtable);
      },
      from);
}

// What embedding refuses.
namespace operation {
struct embedding;
}
namespace detail {
template <class Table, class Ids>
using EmbeddingMisuse = std::conditional_t<
    Real<element_of<Table>> && IndexElement<element_of<Ids>>,
    misuse::shapes_do_not_fit<operation::embedding, shape_of<Table>, shape_of<Ids>>,
    misuse::element_types_are_refused<operation::embedding, element_of<Table>, element_of<Ids>>>;
}  // namespace detail
template <class T = void, Expression Table, Expression Ids>
requires(!detail::EmbeddingOperands<Table, Ids>) auto embedding(const Table&, const Ids&, Location = {})
    -> detail::EmbeddingMisuse<Table, Ids>;

}  // namespace burrow
