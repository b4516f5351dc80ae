// The indices of `view` and `part`: one for each axis, as in NumPy's x[...]. Numbers that are known at
// compile time stay in the index's type; what they mean for the extents of an axis is worked out by the same
// functions at compile time and at run time.
#pragma once

#include <concepts>
#include <limits>

#include <burrow/core/shape.hpp>

namespace burrow {

/// Stands for a begin or an end that NumPy leaves out: `range<omitted, omitted, -1>()` is x[::-1].
inline constexpr Index omitted = std::numeric_limits<Index>::min();

/// The whole of one axis, NumPy's `:`.
struct WholeAxis {};
inline constexpr WholeAxis whole_axis{};

/// As many whole axes as the other indices leave, NumPy's `...`.
struct Ellipsis {};
inline constexpr Ellipsis ellipsis{};

/// An axis of extent 1 that x does not have, NumPy's None.
struct NewAxis {};
inline constexpr NewAxis new_axis{};

/// A range whose numbers are known at compile time.
template <Index Begin, Index End, Index Step>
struct StaticIndexRange {
  static_assert(Step != 0, "range: the step is not 0");
};

/// The range `begin`, `begin + step`, ... before `end`, known at run time; UnitStep says that the step is 1.
template <bool UnitStep>
struct IndexRange {
  Index begin, end, step = 1;
};

/// A range of Length elements (or of `length`, where Length is dyn), `step` apart, from a `begin` known at
/// run time.
template <Index Length, bool UnitStep>
struct IndexRangeOf {
  Index begin, length, step = 1;
};

/// One index that is known at compile time.
template <Index I>
struct StaticIndex {};

/// Elements Begin, Begin + Step, ... before End of an axis, NumPy's x[Begin:End:Step]. Negative numbers count
/// from the end of the axis; what lies outside is left out.
template <Index Begin, Index End, Index Step = 1>
constexpr StaticIndexRange<Begin, End, Step> range() {
  return {};
}
/// The same with numbers known at run time; the extent is then dyn.
constexpr IndexRange<true> range(Index begin, Index end) { return {begin, end}; }
constexpr IndexRange<false> range(Index begin, Index end, Index step) { return {begin, end, step}; }

/// Length elements from `begin` on: a static extent at a place known at run time. All of them must be there.
template <Index Length>
constexpr IndexRangeOf<Length, true> range_of(Index begin) {
  return {begin, Length};
}
template <Index Length>
constexpr IndexRangeOf<Length, false> range_of(Index begin, Index step) {
  return {begin, Length, step};
}

/// One index that is known at compile time, and checked then where the extent is; the axis is dropped.
template <Index I>
constexpr StaticIndex<I> index() {
  return {};
}

namespace detail {

/// The index that is not given: a list of indices is as long as the user makes it.
struct NoIndex {};

enum class IndexKind { whole, range, range_of, element, new_axis, ellipsis, absent };

/// An index as numbers. At compile time, `known` says that they are all there, `unit` that the step is 1.
struct AxisIndex {
  IndexKind kind = IndexKind::whole;
  Index begin = omitted, end = omitted, step = 1;  // of range_of, end is the length
  bool known = true;
  bool unit = true;
};

constexpr AxisIndex axis_index(WholeAxis) { return {}; }
constexpr AxisIndex axis_index(Ellipsis) { return {IndexKind::ellipsis}; }
constexpr AxisIndex axis_index(NoIndex) { return {IndexKind::absent}; }
constexpr AxisIndex axis_index(NewAxis) { return {IndexKind::new_axis}; }
constexpr AxisIndex axis_index(Index i) { return {IndexKind::element, i}; }
template <Index I>
constexpr AxisIndex axis_index(StaticIndex<I>) {
  return {IndexKind::element, I};
}
template <Index Begin, Index End, Index Step>
constexpr AxisIndex axis_index(StaticIndexRange<Begin, End, Step>) {
  return {IndexKind::range, Begin, End, Step, true, Step == 1};
}
template <bool UnitStep>
constexpr AxisIndex axis_index(IndexRange<UnitStep> r) {
  return {IndexKind::range, r.begin, r.end, r.step};
}
template <Index Length, bool UnitStep>
constexpr AxisIndex axis_index(IndexRangeOf<Length, UnitStep> r) {
  return {IndexKind::range_of, r.begin, r.length, r.step};
}

/// What the type of an index says about it.
template <class I>
struct static_index {
  static constexpr AxisIndex value = axis_index(I{});
};
template <std::integral I>
struct static_index<I> {
  static constexpr AxisIndex value{IndexKind::element, 0, 0, 1, false, false};
};
template <bool UnitStep>
struct static_index<IndexRange<UnitStep>> {
  static constexpr AxisIndex value{IndexKind::range, 0, 0, 1, false, UnitStep};
};
template <Index Length, bool UnitStep>
struct static_index<IndexRangeOf<Length, UnitStep>> {
  static constexpr AxisIndex value{IndexKind::range_of, 0, Length, 1, false, UnitStep};
};

/// The types that `view` takes as indices.
template <class I>
inline constexpr bool is_index = std::integral<I> && !std::same_as<I, bool>;
template <>
inline constexpr bool is_index<WholeAxis> = true;
template <>
inline constexpr bool is_index<Ellipsis> = true;
template <>
inline constexpr bool is_index<NoIndex> = true;
template <>
inline constexpr bool is_index<NewAxis> = true;
template <Index I>
inline constexpr bool is_index<StaticIndex<I>> = true;
template <Index Begin, Index End, Index Step>
inline constexpr bool is_index<StaticIndexRange<Begin, End, Step>> = true;
template <bool UnitStep>
inline constexpr bool is_index<IndexRange<UnitStep>> = true;
template <Index Length, bool UnitStep>
inline constexpr bool is_index<IndexRangeOf<Length, UnitStep>> = true;

/// The first element and the number of elements of a range along an axis, as in Python: numbers are clipped.
struct ResolvedRange {
  Index begin, length;
};
constexpr ResolvedRange resolve_range(const AxisIndex& range, Index extent) {
  const bool up = range.step > 0;
  const auto clip = [&](Index i, Index otherwise) {
    if (i == omitted) return otherwise;
    const Index low = up ? 0 : -1, high = up ? extent : extent - 1;
    if (i < 0) i += extent;
    return i < low ? low : i > high ? high : i;
  };
  const Index begin = clip(range.begin, up ? 0 : extent - 1), end = clip(range.end, up ? extent : -1);
  // Counted without overflow for the largest steps.
  if (up) return {begin, begin < end ? (end - begin - 1) / range.step + 1 : 0};
  return {begin,
          end < begin ? (begin - end - 1) / (range.step == omitted ? -(omitted + 1) : -range.step) + 1 : 0};
}

/// Number of indices of a kind.
template <std::size_t N>
constexpr std::size_t count_kind(const std::array<AxisIndex, N>& indices, IndexKind kind) {
  std::size_t count = 0;
  for (const AxisIndex& i : indices) count += i.kind == kind ? 1 : 0;
  return count;
}

/// Number of indices that stand for one axis of x or of the result.
template <std::size_t N>
constexpr std::size_t count_named(const std::array<AxisIndex, N>& indices) {
  return N - count_kind(indices, IndexKind::ellipsis) - count_kind(indices, IndexKind::absent);
}

/// The indices with the ellipsis, and the axes that no index names, written as whole axes: Count in all.
template <std::size_t Count, std::size_t N>
constexpr std::array<AxisIndex, Count> written_out(const std::array<AxisIndex, N>& indices) {
  std::array<AxisIndex, Count> result{};
  const std::size_t named = count_named(indices);
  std::size_t to = 0;
  for (const AxisIndex& i : indices) {
    if (i.kind == IndexKind::ellipsis)
      to += Count - named;
    else if (i.kind != IndexKind::absent)
      result[to++] = i;
  }
  return result;
}

/// The extent that an index leaves of an axis, as far as the compiler knows.
constexpr Index static_length(const AxisIndex& i, Index extent) {
  if (i.kind == IndexKind::new_axis) return 1;
  if (i.kind == IndexKind::range_of) return i.end;
  if (i.kind == IndexKind::range) return i.known && extent != dyn ? resolve_range(i, extent).length : dyn;
  return extent;
}

/// False where an index is known to be outside of its axis.
constexpr bool may_be_inside(const AxisIndex& i, Index extent) {
  if (extent == dyn) return true;
  if (i.kind == IndexKind::range_of) return i.end <= extent;
  return i.kind != IndexKind::element || !i.known || (i.begin >= -extent && i.begin < extent);
}

/// What is known about the memory that a view shows.
enum class Packing { dense, unit_inner, strided };

/// The packing of a view of a tensor of the given packing.
template <std::size_t Count, std::size_t Rank>
constexpr Packing packing_of(const std::array<AxisIndex, Count>& indices,
                             const std::array<Index, Rank>& extents, Packing source) {
  bool dense = source == Packing::dense, gap = false;
  std::size_t axis = Rank;
  for (std::size_t k = Count; k-- > 0;) {
    const AxisIndex& i = indices[k];
    if (i.kind == IndexKind::new_axis) continue;
    const Index extent = extents[--axis];
    const Index length = i.kind == IndexKind::element ? 1 : static_length(i, extent);
    if (length != 1 && (gap || !i.unit)) dense = false;
    const bool complete = i.kind == IndexKind::whole ||
                          (i.kind != IndexKind::element && i.unit && extent != dyn && length == extent);
    gap = gap || (!complete && extent != 1);
  }
  if (dense) return Packing::dense;
  if (Count == 0 || source == Packing::strided) return Packing::strided;
  const AxisIndex& last = indices[Count - 1];
  const bool moves = last.kind != IndexKind::new_axis && last.kind != IndexKind::element;
  return moves && last.unit ? Packing::unit_inner : Packing::strided;
}

/// Extents, strides and the offset of a view of an array, worked out at run time.
struct ViewBuilder {
  const char* operation;
  const Index* extents;
  const Index* strides;
  std::size_t rank;
  Location where;
  std::size_t axis = 0;
  Index offset = 0;

  /// The extent and the stride that index `i` leaves of the next axis; an element leaves none.
  std::pair<Index, Index> next(const AxisIndex& i) {
    if (i.kind == IndexKind::new_axis) return {1, 0};
    const std::size_t a = axis++;
    const Index extent = extents[a], stride = strides[a];
    if (i.kind == IndexKind::whole) return {extent, stride};
    if (i.kind == IndexKind::element) {
      if (i.begin < -extent || i.begin >= extent)
        throw ShapeError(std::string(operation) + ": index " + std::to_string(i.begin) + " is not in axis " +
                         std::to_string(a) + " of " + shape_text(extents, rank) + at(where));
      offset += (i.begin < 0 ? i.begin + extent : i.begin) * stride;
      return {1, stride};
    }
    if (i.step == 0) throw ValueError(std::string(operation) + ": the step of a range is not 0" + at(where));
    const ResolvedRange r = i.kind == IndexKind::range ? resolve_range(i, extent) : whole_range(i, a);
    if (r.length > 0) offset += r.begin * stride;
    return {r.length, stride * i.step};
  }

 private:
  ResolvedRange whole_range(const AxisIndex& i, std::size_t a) const {
    const Index extent = extents[a], length = i.end, begin = i.begin < 0 ? i.begin + extent : i.begin;
    const Index last = begin + (length - 1) * i.step;
    if (length < 0 || (length > 0 && (begin < 0 || begin >= extent || last < 0 || last >= extent)))
      throw ShapeError(std::string(operation) + ": elements " + std::to_string(begin) + " to " +
                       std::to_string(last) + " of axis " + std::to_string(a) + " are not all in " +
                       shape_text(extents, rank) + at(where));
    return {begin, length};
  }
};

}  // namespace detail

}  // namespace burrow
