// How kernels read and write elements: pieces of a few neighbours, 16 bytes at once where they are aligned. A
// cursor's leaves are fetched into registers, and the cursor computes from there.
#pragma once

#include <algorithm>

#include <burrow/core/block_reduce.cuh>
#include <burrow/core/for_each.cuh>
#include <burrow/tensor/cursor.hpp>

namespace burrow::detail {

/// A leaf's elements of one piece, in registers; a leaf that repeats along a row has one.
template <class T, int Held>
struct FetchedLeaf {
  using element = T;
  T values[Held];

  template <class C, int N, bool>
  constexpr auto at(Index k, Index) const {
    static_assert(N == 1, "a kernel computes one value at a time");
    using W = std::conditional_t<std::same_as<T, bool>, C, compute_type<T>>;
    const Packet<W, 1> value(static_cast<W>(values[Held == 1 ? 0 : k]));
    if constexpr (std::same_as<T, bool>)
      return value != Packet<W, 1>(W(0));
    else
      return value;
  }
};

/// Neighbouring elements that a thread takes at once: `count` of them exist, from number i of a row on. Where
/// `whole`, all do and lie on a multiple of their size.
struct Piece {
  Index i, count;
  bool whole;
};

/// The elements of a piece for a cursor that stands at a row.
template <int Each, class T>
__device__ ScalarCursor<T> fetch(const ScalarCursor<T>& scalar, const Piece&) {
  return scalar;
}
template <int Each, class T, std::size_t Rank, InnerWalk Inner>
__device__ auto fetch(const LeafCursor<T, Rank, Inner>& leaf, const Piece& piece) {
  if constexpr (Inner == InnerWalk::repeat) {
    return FetchedLeaf<T, 1>{{*leaf.row()}};
  } else {
    FetchedLeaf<T, Each> fetched;
    const Index step = Inner == InnerWalk::unit ? 1 : leaf.steps().inner;
    const T* const from = leaf.row() + piece.i * step;
    if (Inner == InnerWalk::unit && piece.whole) {
      cuda::load_elements<Each>(from, fetched.values);
    } else {
#pragma unroll
      for (int k = 0; k < Each; ++k) fetched.values[k] = k < piece.count ? from[k * step] : T(0);
    }
    return fetched;
  }
}
template <int Each, class F, class T, class... Args>
__device__ auto fetch(const MapCursor<F, T, Args...>& map, const Piece& piece) {
  return detail::apply(
      [&](const auto&... a) {
        return MapCursor<F, T, decltype(fetch<Each>(a, piece))...>{map.function(), fetch<Each>(a, piece)...};
      },
      map.arguments());
}

/// A computed value as a number.
template <class T, class C>
constexpr T element_value(Packet<C, 1> value) {
  return static_cast<T>(value.v);
}
template <class T, class C>
constexpr T element_value(Mask<C, 1> value) {
  return static_cast<T>(value.bits);
}
/// The value of element k of a fetched cursor.
template <class T, class Fetched>
__device__ T value_at(const Fetched& fetched, int k) {
  return element_value<T>(fetched.template at<float, 1, true>(k, 1));
}

/// Writes a piece of a row of neighbours.
template <int Each, class C, class T>
__device__ void store_piece(T* row, const C (&values)[Each], const Piece& piece) {
  if (piece.whole) {
    cuda::store_elements<Each>(row + piece.i, values);
  } else {
#pragma unroll
    for (int k = 0; k < Each; ++k)
      if (k < piece.count) row[piece.i + k] = static_cast<T>(values[k]);
  }
}

/// Bytes of the smallest element that a cursor reads from neighbours; 0 where one of its leaves is strided.
template <class Cursor>
struct NarrowestLeaf {
  static constexpr int bytes = 16;
};
template <class T, std::size_t Rank, InnerWalk Inner>
struct NarrowestLeaf<LeafCursor<T, Rank, Inner>> {
  static constexpr int bytes = Inner == InnerWalk::strided ? 0
                               : Inner == InnerWalk::unit  ? static_cast<int>(sizeof(T))
                                                           : 16;
};
template <class F, class T, class... Args>
struct NarrowestLeaf<MapCursor<F, T, Args...>> {
  static constexpr int bytes = std::min({NarrowestLeaf<Args>::bytes...});
};

/// Elements to a piece of a loop that reads the cursors and writes elements of T: as many as fill 16 bytes of
/// the narrowest, 8 at most.
template <class T, class... Cursors>
constexpr int piece_size() {
  constexpr int narrowest = std::min({static_cast<int>(sizeof(T)), NarrowestLeaf<Cursors>::bytes...});
  return narrowest == 0 ? 1 : std::min(8, std::max(1, 16 / narrowest));
}

/// True where every row of an array begins on a multiple of `each` elements.
template <class T, std::size_t Rank>
bool starts_whole(const T* data, const Steps<Rank>& steps, Index each) {
  for (const Index step : steps.outer)
    if (step % each != 0) return false;
  return reinterpret_cast<std::uintptr_t>(data) % (static_cast<std::uintptr_t>(each) * sizeof(T)) == 0;
}
template <class T>
bool cursor_starts_whole(const ScalarCursor<T>&, Index) {
  return true;
}
template <class T, std::size_t Rank, InnerWalk Inner>
bool cursor_starts_whole(const LeafCursor<T, Rank, Inner>& leaf, Index each) {
  return Inner == InnerWalk::repeat || starts_whole(leaf.data(), leaf.steps(), each);
}
template <class F, class T, class... Args>
bool cursor_starts_whole(const MapCursor<F, T, Args...>& map, Index each) {
  return detail::apply([&](const auto&... a) { return (cursor_starts_whole(a, each) && ...); },
                       map.arguments());
}

/// The pieces of a row.
struct RowPieces {
  Index inner;    ///< elements of a row
  Index per_row;  ///< pieces of a row
  bool aligned;   ///< every row begins where a piece may be read at once

  RowPieces(Index elements, Index each, bool starts_are_whole)
      : inner{elements}, per_row{(elements + each - 1) / each}, aligned{starts_are_whole} {}

  template <int Each>
  __device__ Piece piece(Index number) const {
    const Index i = number * Each;
    const Index count = inner - i < Each ? inner - i : Index{Each};
    return {i, count, aligned && count == Each};
  }
};

/// The coordinates of a row, as LoopNest has them.
template <std::size_t Rank>
__device__ std::array<Index, Rank> row_coordinates(const LoopNest<Rank>& nest, Index row) {
  std::array<Index, Rank> result{};
  if constexpr (Rank == 1) {
    result[0] = row;
  } else {
#pragma unroll
    for (std::size_t i = Rank; i-- > 0;) {
      const auto [above, here] = i == 0 ? Division{0, row} : divide(row, nest.outer[i]);
      result[i] = here;
      row = above;
    }
  }
  return result;
}

}  // namespace burrow::detail
