// Reductions on a CUDA device, those of the reverse sweep as well: trees in two stages. Parts of what meets
// in one element of the result are combined by a block each, in fixed order; a second kernel combines the
// parts. How many parts there are depends on the extents alone, so that the result has the same bits
// everywhere.
#pragma once

#include <burrow/tensor/accumulate.hpp>
#include <burrow/tensor/pieces.cuh>

namespace burrow::detail {

/// The rows of a nest as those that a result keeps times those that meet in the same elements of it.
template <std::size_t Rank>
struct MeetingRows {
  std::array<Index, Rank> extents{};
  std::array<bool, Rank> meets{};
  Index kept = 1, meeting = 1;

  MeetingRows(const LoopNest<Rank>& nest, const Steps<Rank>& result) : extents{nest.outer} {
    for (std::size_t i = 0; i < Rank; ++i) {
      meets[i] = result.outer[i] == 0;
      (meets[i] ? meeting : kept) *= extents[i];
    }
  }

  __device__ std::array<Index, Rank> coordinates(Index of_kept, Index of_meeting) const {
    std::array<Index, Rank> result{};
#pragma unroll
    for (std::size_t i = Rank; i-- > 0;) {
      const Index number = meets[i] ? of_meeting : of_kept;
      const auto [above, here] = i == 0 ? Division{0, number} : divide(number, extents[i]);
      result[i] = here;
      if (meets[i])
        of_meeting = above;
      else
        of_kept = above;
    }
    return result;
  }
};

/// Where a kernel's results go: of one part to the end, of several to an array for each.
template <class A, class Write>
struct ReductionResult {
  A* partial;  ///< null where there is one part
  Index size;  ///< elements of the result
  Write write;

  __device__ void put(Index part, Index j, A value) const {
    if (partial == nullptr)
      write(j, value);
    else
      partial[part * size + j] = value;
  }
};

/// The type in which the threads of a kernel combine values of C: double for sums that round, else one of
/// whole words, which lanes can exchange.
template <class Op, class C>
using combining_type =
    std::conditional_t<Op::rounds && !std::is_integral_v<C>, wide_type<C>,
                       std::conditional_t<(sizeof(C) < sizeof(std::int32_t)), std::int32_t, C>>;

/// Results to which whole rows are reduced. A block, or a warp of it where `team` is 32, takes one part of
/// one result.
template <int Each, class Op, class A, std::size_t Rank, class Visitor, class Write>
__global__ void reduce_rows_kernel(MeetingRows<Rank> rows, RowPieces pieces, Visitor visitor,
                                   Steps<Rank> steps, ReductionResult<A, Write> result, Index part_pieces,
                                   int team) {
  const Index teams = blockDim.x / static_cast<unsigned>(team),
              member = threadIdx.x % static_cast<unsigned>(team);
  const Index first = blockIdx.x * teams + threadIdx.x / static_cast<unsigned>(team);
  const Index all = rows.meeting * pieces.per_row, begin = blockIdx.y * part_pieces;
  const Index end = begin + part_pieces < all ? begin + part_pieces : all;
  for (Index kept = first; kept < rows.kept; kept += gridDim.x * teams) {
    A value = Op::template identity<A>;
    for (Index p = begin + member; p < end; p += team) {
      const auto [row, number] = divide(p, pieces.per_row);
      visitor.template visit<Each>(rows.coordinates(kept, row), pieces.template piece<Each>(number),
                                   [&](int, auto x) { value = Op::combine(value, static_cast<A>(x)); });
    }
    value = team == cuda::warp_size ? cuda::warp_reduce<Op>(value) : cuda::block_reduce<Op>(value);
    if (member == 0) result.put(blockIdx.y, steps.row_offset(rows.coordinates(kept, 0)), value);
  }
}

inline constexpr int column_lanes = cuda::ReductionGrid::column_lanes,
                     row_lanes = cuda::ReductionGrid::row_lanes;

/// Results that keep the elements of a row. A block takes 32 pieces of one part of the rows; eight threads
/// share the rows of a piece.
template <int Each, class Op, class A, std::size_t Rank, class Visitor, class Write>
__global__ void reduce_columns_kernel(MeetingRows<Rank> rows, RowPieces pieces, Visitor visitor,
                                      Steps<Rank> steps, ReductionResult<A, Write> result, Index part_rows) {
  __shared__ A shared[row_lanes][column_lanes * Each];
  const int column = static_cast<int>(threadIdx.x) % column_lanes,
            lane = static_cast<int>(threadIdx.x) / column_lanes;
  const Index blocks_of_row = (pieces.per_row + column_lanes - 1) / column_lanes;
  const Index begin = blockIdx.y * part_rows;
  const Index end = begin + part_rows < rows.meeting ? begin + part_rows : rows.meeting;
  for (Index block = blockIdx.x; block < rows.kept * blocks_of_row; block += gridDim.x) {
    const auto [kept, in_row] = divide(block, blocks_of_row);
    const Index number = in_row * column_lanes + column;
    const Piece piece = pieces.template piece<Each>(number);
    A values[Each];
#pragma unroll
    for (int k = 0; k < Each; ++k) values[k] = Op::template identity<A>;
    if (number < pieces.per_row)
      for (Index row = begin + lane; row < end; row += row_lanes)
        visitor.template visit<Each>(rows.coordinates(kept, row), piece, [&](int k, auto x) {
          values[k] = Op::combine(values[k], static_cast<A>(x));
        });
#pragma unroll
    for (int k = 0; k < Each; ++k) shared[lane][column * Each + k] = values[k];
    __syncthreads();
    const Index to = steps.row_offset(rows.coordinates(kept, 0)), first = in_row * column_lanes * Each;
    for (Index j = threadIdx.x; j < column_lanes * Each && first + j < pieces.inner; j += blockDim.x) {
      A value = shared[0][j];
#pragma unroll
      for (int other = 1; other < row_lanes; ++other) value = Op::combine(value, shared[other][j]);
      result.put(blockIdx.y, to + first + j, value);
    }
    __syncthreads();
  }
}

/// Combines the parts of every result in order: one thread to a result, or a warp where `team` is 32.
template <class Op, class A, class Write>
__global__ void combine_parts_kernel(const A* partial, Index parts, Index size, Write write, int team) {
  const Index teams = blockDim.x / static_cast<unsigned>(team),
              member = threadIdx.x % static_cast<unsigned>(team);
  for (Index j = blockIdx.x * teams + threadIdx.x / static_cast<unsigned>(team); j < size;
       j += gridDim.x * teams) {
    A value = Op::template identity<A>;
    for (Index part = member; part < parts; part += team)
      value = Op::combine(value, partial[part * size + j]);
    if (team == cuda::warp_size) value = cuda::warp_reduce<Op>(value);
    if (member == 0) write(j, value);
  }
}

/// Reduces what a visitor finds in a nest. visitor.visit<Each>(coordinates, piece, take) calls take(k, value)
/// for the elements of the piece; `steps` are those of the result, 0 where its elements meet; write(j, value)
/// takes result j. `Repeats`: all of a row meets in one element.
template <int Each, bool Repeats, class Op, class C, std::size_t Rank, class Visitor, class Write>
void reduce_visited(const char* name, const LoopNest<Rank>& nest, const Visitor& visitor, bool aligned,
                    const Steps<Rank>& steps, Index size, const Write& write) {
  using A = combining_type<Op, C>;
  if (size <= 0) return;
  const MeetingRows<Rank> rows{nest, steps};
  const RowPieces pieces{nest.inner, Each, aligned};
  const auto cut = Repeats ? cuda::ReductionGrid::of_rows(rows.kept, rows.meeting * pieces.per_row)
                           : cuda::ReductionGrid::of_columns(rows.kept, pieces.per_row, rows.meeting);
  const Buffer<Cuda> partial{cut.parts > 1 ? cut.parts * size * Index{sizeof(A)} : 0};
  A* const arrays = static_cast<A*>(partial.data());
  const ReductionResult<A, Write> result{arrays, size, write};
  if constexpr (Repeats)
    cuda::launch(name, &reduce_rows_kernel<Each, Op, A, Rank, Visitor, Write>, cut.grid, rows, pieces,
                 visitor, steps, result, cut.part, cut.team);
  else
    cuda::launch(name, &reduce_columns_kernel<Each, Op, A, Rank, Visitor, Write>, cut.grid, rows, pieces,
                 visitor, steps, result, cut.part);
  if (cut.parts == 1) return;
  const int combining = cut.parts > 8 ? cuda::warp_size : 1;
  cuda::launch(name, &combine_parts_kernel<Op, A, Write>,
               cuda::striding_grid(size * combining, cuda::Context::instance().multiprocessors()),
               static_cast<const A*>(arrays), cut.parts, size, write, combining);
}

/// Visits the values of an expression.
template <class C, class Source>
struct ValueVisitor {
  Source source;

  template <int Each, class Coordinates, class Take>
  __device__ void visit(const Coordinates& coordinates, const Piece& piece, const Take& take) const {
    Source cursor = source;
    cursor.seek(coordinates);
    const auto fetched = fetch<Each>(cursor, piece);
#pragma unroll
    for (int k = 0; k < Each; ++k)
      if (k < piece.count) take(k, value_at<C>(fetched, k));
  }
};

/// Writes what `finish` makes of a result.
template <class T, class C, class Finish>
struct WriteFinished {
  T* out;
  Finish finish;
  template <class A>
  constexpr void operator()(Index j, A value) const {
    out[j] = static_cast<T>(finish(static_cast<C>(value)));
  }
};

/// Reduces an expression over the axes along which shape Keep (which broadcasts to its shape) repeats, and
/// writes finish(result) to `out`.
template <class Op, class T, class Keep, class Node, class Finish>
void reduce(Cuda, const Node& node, const Keep& keep, T* out, const Finish& finish) {
  using Out = typename Node::shape_type;
  using C = compute_type<typename Node::element>;
  constexpr int inner = inner_axes<Out, Node, ShapeLeaf<Keep>>();
  const auto source = lowered<Out, inner>(node);
  using Visitor = ValueVisitor<C, std::remove_const_t<decltype(source)>>;
  constexpr int each = piece_size<float, std::remove_const_t<decltype(source)>>();
  constexpr bool repeats = inner_walk<Keep, Out, inner, true> == InnerWalk::repeat;
  reduce_visited<each, repeats, Op, C>(Op::name, loop_nest<inner>(node.shape()), Visitor{source},
                                       cursor_starts_whole(source, each),
                                       steps_of<Keep, Out, inner>(row_major_strides(keep.values())),
                                       keep.size(), WriteFinished<T, C, Finish>{out, finish});
}

}  // namespace burrow::detail
