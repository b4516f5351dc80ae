// Evaluation of expressions on a CUDA device: one kernel to a fused expression, from the cursors that the
// CPU's loops read.
#pragma once

#include <burrow/tensor/create.hpp>
#include <burrow/tensor/pieces.cuh>
#include <burrow/tensor/tensor.hpp>

namespace burrow::detail {

/// Writes the pieces of all rows to an array of the given steps.
template <int Each, bool UnitInner, class T, std::size_t Rank, class Source>
__global__ void evaluate_kernel(LoopNest<Rank> nest, RowPieces pieces, Source source, T* out,
                                Steps<Rank> steps) {
  const Index step = Index{gridDim.x} * blockDim.x, count = nest.rows * pieces.per_row;
  for (Index p = Index{blockIdx.x} * blockDim.x + threadIdx.x; p < count; p += step) {
    const auto [row, number] = divide(p, pieces.per_row);
    const Piece piece = pieces.template piece<Each>(number);
    const auto coordinates = row_coordinates(nest, row);
    Source cursor = source;
    cursor.seek(coordinates);
    const auto fetched = fetch<Each>(cursor, piece);
    T values[Each];
#pragma unroll
    for (int k = 0; k < Each; ++k) values[k] = value_at<T>(fetched, k);
    T* const to = out + steps.row_offset(coordinates);
    if constexpr (UnitInner) {
      store_piece<Each>(to, values, piece);
    } else {
#pragma unroll
      for (int k = 0; k < Each; ++k)
        if (k < piece.count) to[(piece.i + k) * steps.inner] = values[k];
    }
  }
}

template <bool UnitInner, class T, std::size_t Rank, class Source>
void evaluate_pieces(const char* name, const LoopNest<Rank>& nest, const Source& source, T* out,
                     const Steps<Rank>& steps) {
  constexpr int each = UnitInner ? piece_size<T, Source>() : 1;
  const RowPieces pieces{nest.inner, each,
                         starts_whole(out, steps, each) && cursor_starts_whole(source, each)};
  const Index count = nest.rows * pieces.per_row;
  if (count <= 0) return;
  cuda::launch(name, &evaluate_kernel<each, UnitInner, T, Rank, Source>,
               cuda::striding_grid(count, cuda::Context::instance().multiprocessors()), nest, pieces, source,
               out, steps);
}

/// Writes an expression that broadcasts to Out to a part of an array: elements at any strides, of which the
/// last Gapless axes lie in memory without gaps.
template <int Gapless, class T, class Out, class Node>
void evaluate_into(Cuda, const Node& node, const Out& shape, T* out,
                   const std::array<Index, Out::extents.size()>& strides) {
  constexpr int inner = std::min(inner_axes<Out, Node>(), std::max(Gapless, 1));
  evaluate_pieces<(Gapless > 0)>("part", loop_nest<inner>(shape), lowered<Out, inner>(node), out,
                                 steps_of<Out, Out, inner>(strides));
}

/// Writes an expression of shape Out, row-major, to `out`.
template <class T, class Out, class Expression>
void evaluate(Cuda, const Expression& expression, const Out& shape, T* out) {
  const auto& node = without_cast<T>(expression);
  using Node = std::remove_cvref_t<decltype(node)>;
  constexpr int inner = inner_axes<Out, Node>();
  const char* name = "evaluate";
  if constexpr (!Node::is_leaf) name = Node::function_type::name;
  evaluate_pieces<true>(name, loop_nest<inner>(shape), lowered<Out, inner>(node), out,
                        steps_of<Out, Out, inner>(row_major_strides(shape.values())));
}

template <class T>
void fill(Cuda, T* data, Index count, T value) {
  evaluate(Cuda{}, Scalar<T>{static_cast<compute_type<T>>(value)}, Shape<dyn>{{count}}, data);
}

/// Random numbers: element i is draw_one(i).
template <class T, class Draw>
struct DrawOne {
  Draw draw_one;
  T* out;
  constexpr void operator()(Index i) const {
    out[i] = static_cast<T>(draw_one(static_cast<std::uint64_t>(i)));
  }
};
template <class T, class Draw>
void draw(Cuda, const Draw& draw_one, T* out, Index count) {
  for_each_index("random numbers", count, DrawOne<T, Draw>{draw_one, out});
}

}  // namespace burrow::detail

#include <burrow/tensor/reduce.cuh>
