// The steps of an einsum on leaves whose axes have names: views with axes exchanged, merged and taken along
// diagonals, sums, and products of two.
#pragma once

#include <burrow/autodiff/reduce.hpp>
#include <burrow/ops/einsum/subscripts.hpp>
#include <burrow/ops/matmul/matmul.hpp>

namespace burrow::detail {

/// The names that stand in operands after `Last`, or in the output.
template <Subscripts S, std::size_t Last>
constexpr Labels needed_after() {
  Labels names = S.output;
  for (std::size_t i = Last + 1; i < S.operand_count; ++i) names = names.then(S.operands[i]).distinct();
  return names;
}

/// Each name a group of its own.
template <Labels Names>
constexpr auto singles() {
  std::array<Labels, Names.count> groups{};
  for (std::size_t i = 0; i < Names.count; ++i) groups[i].add(Names[i]);
  return groups;
}

template <class Groups>
constexpr Labels joined(const Groups& groups) {
  Labels names;
  for (const Labels& group : groups) names = names.then(group);
  return names;
}

/// The static extent of a name among the axes of S; 1 where it is not there.
template <class S>
constexpr Index extent_of_name(const Labels& axes, char name) {
  Index extent = axes.has(name) ? dyn : 1;
  for (std::size_t i = 0; i < axes.count; ++i)
    if (axes[i] == name && S::extents[i] != dyn) extent = S::extents[i];
  return extent;
}

/// Extents of groups of names: products, dyn where one is.
template <class S, Labels From, auto Groups>
struct merged_extents {
  static constexpr auto extents = [] {
    std::array<Index, Groups.size()> result{};
    for (std::size_t g = 0; g < Groups.size(); ++g) {
      result[g] = 1;
      for (std::size_t i = 0; i < Groups[g].count; ++i) {
        const Index extent = extent_of_name<S>(From, Groups[g][i]);
        result[g] = extent == dyn || result[g] == dyn ? dyn : result[g] * extent;
      }
    }
    return result;
  }();
};

/// Extents and strides of named axes at run time.
template <std::size_t Count>
struct NamedAxes {
  std::array<Index, Count> extents{}, strides{};
};

/// Merges neighbouring axes into groups of the given sizes; false where one stride does not reach all
/// elements of a group.
template <std::size_t Groups, std::size_t Count>
bool merge_axes(const std::array<std::size_t, Groups>& sizes, const NamedAxes<Count>& axes,
                NamedAxes<Groups>& merged) {
  bool possible = true;
  std::size_t end = 0;
  for (std::size_t g = 0; g < Groups; ++g) {
    Index extent = 1, stride = 1;
    end += sizes[g];
    for (std::size_t i = end; i-- > end - sizes[g];) {
      if (axes.extents[i] == 1) continue;
      if (extent == 1)
        stride = axes.strides[i];
      else
        possible = possible && axes.strides[i] == stride * extent;
      extent *= axes.extents[i];
    }
    merged.extents[g] = extent;
    merged.strides[g] = stride;
  }
  return possible;
}

/// A leaf with axes From, seen with one axis for each group of names: names that occur twice become
/// diagonals, and those that From lacks have extent 1. Copied only where a group cannot be merged in place.
template <Labels From, auto Groups, class Leaf>
auto grouped(const Leaf& leaf) {
  using S = shape_of<Leaf>;
  using T = element_of<Leaf>;
  using D = device_of<Leaf>;
  constexpr Labels names = joined(Groups);
  constexpr auto sizes = [] {
    std::array<std::size_t, Groups.size()> result{};
    for (std::size_t g = 0; g < Groups.size(); ++g) result[g] = Groups[g].count;
    return result;
  }();
  constexpr bool merges = [] {
    for (const Labels& group : Groups)
      if (group.count != 1) return true;
    return false;
  }();
  if constexpr (Leaf::contiguous && names == From && !merges) {
    return leaf;
  } else {
    using Merged = ShapeOf<merged_extents<S, From, Groups>>;
    constexpr bool unit = Leaf::layout::unit_inner && names.count > 0 &&
                          Groups[Groups.size() - 1].count > 0 && From.count > 0 &&
                          names[names.count - 1] == From[From.count - 1] &&
                          From.occurrences(From[From.count - 1]) == 1;
    NamedAxes<names.count> axes;
    axes.extents.fill(1);
    const auto strides = leaf.view().strides();
    for (std::size_t i = 0; i < From.count; ++i) {
      const std::size_t at = names.find(From[i]);
      axes.extents[at] = leaf.shape().values()[i];
      axes.strides[at] += strides[i];
    }
    const auto seen = [&]<class Shape, class L>(const auto& from, const Shape& shape, const auto& steps, L) {
      return rebind(from, View<T, Shape, D, L>{Buffer<D>{from.view().storage()},
                                               const_cast<T*>(from.view().data()), shape, steps});
    };
    NamedAxes<Groups.size()> merged;
    const bool possible = merge_axes(sizes, axes, merged);
    const auto whole = [&](const auto& from) {
      return seen(from, Merged{merged.extents}, merged.strides, Strided<unit>{});
    };
    if constexpr (merges)
      if (!possible) {
        using Permuted = ShapeOf<merged_extents<S, From, singles<names>()>>;
        const auto dense =
            to_node(materialize(seen(leaf, Permuted{axes.extents}, axes.strides, Strided<unit>{})));
        axes.strides = row_major_strides(axes.extents);
        merge_axes(sizes, axes, merged);
        return whole(dense);
      }
    return whole(leaf);
  }
}

/// The same elements with the names in another order.
template <Labels From, Labels To, class Leaf>
auto reordered(const Leaf& leaf) {
  return grouped<From, singles<To>()>(leaf);
}

/// Sums out the names of From that are not in To, along diagonals; To is in the order of From.
template <Labels From, Labels To, class Leaf>
auto summed_to(const Leaf& leaf) {
  constexpr Labels names = From.distinct();
  const auto view = reordered<From, names>(leaf);
  if constexpr (names == To)
    return view;
  else
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      constexpr Labels out = names.among(To, false);
      return to_node(sum<static_cast<int>(names.find(out[I]))...>(view));
    }
  (std::make_index_sequence<names.among(To, false).count>{});
}

/// Static extents of names that stand in one of two shapes, or in both.
template <class SA, Labels A, class SB, Labels B, Labels Names>
struct product_extents {
  static constexpr auto extents = [] {
    std::array<Index, Names.count> result{};
    for (std::size_t i = 0; i < Names.count; ++i) {
      result[i] = A.has(Names[i]) ? extent_of_name<SA>(A, Names[i]) : dyn;
      if (result[i] == dyn && B.has(Names[i])) result[i] = extent_of_name<SB>(B, Names[i]);
    }
    return result;
  }();
};

/// The product of two leaves summed over the names that Out lacks; each name is in the other leaf or in Out.
template <Labels A, Labels B, Labels Out, class LeafA, class LeafB>
auto contract(const LeafA& a, const LeafB& b, Location where) {
  constexpr Labels both = A.among(B), batch = both.among(Out), inner = both.among(Out, false);
  constexpr Labels rows = A.among(B, false), columns = B.among(A, false);
  if constexpr (inner.count == 0) {
    return to_node(materialize(grouped<A, singles<Out>()>(a) * grouped<B, singles<Out>()>(b)));
  } else if constexpr (rows.count == 0 && columns.count == 0) {
    constexpr Labels order = batch.then(inner);
    const auto product = reordered<A, order>(a) * reordered<B, order>(b);
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return reordered<batch, Out>(to_node(sum<static_cast<int>(batch.count + I)...>(product)));
    }
    (std::make_index_sequence<inner.count>{});
  } else if constexpr (rows.count > 0 && columns.count > 0 && Out == batch.then(columns).then(rows)) {
    return contract<B, A, Out>(b, a, where);
  } else {
    constexpr Labels natural = batch.then(rows).then(columns);
    using Shape = ShapeOf<product_extents<shape_of<LeafA>, A, shape_of<LeafB>, B, natural>>;
    std::array<Index, natural.count> extents{};
    for (std::size_t i = 0; i < natural.count; ++i)
      extents[i] =
          A.has(natural[i]) ? a.shape().values()[A.find(natural[i])] : b.shape().values()[B.find(natural[i])];
    const auto shaped = [&](const auto& product) { return to_node(reshape(product, Shape{extents}, where)); };
    if constexpr (batch.count > 0)
      return reordered<natural, Out>(shaped(matmul(grouped<A, std::array{batch, rows, inner}>(a),
                                                   grouped<B, std::array{batch, inner, columns}>(b), where)));
    else
      return reordered<natural, Out>(shaped(
          matmul(grouped<A, std::array{rows, inner}>(a), grouped<B, std::array{inner, columns}>(b), where)));
  }
}

}  // namespace burrow::detail
