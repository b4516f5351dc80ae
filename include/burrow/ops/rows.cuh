// What kernels of operations along the last axis share: a block of threads works on one row after the other,
// and sums over all rows are made in two stages, in a fixed order.
#pragma once

#include <burrow/ops/rows.hpp>
#include <burrow/tensor/pieces.cuh>

namespace burrow::detail {

/// body(i) for this thread's share of a row: the Each elements from i on.
template <int Each, class Body>
__device__ void for_elements(Index width, const Body& body) {
  for (Index i = Index{threadIdx.x} * Each; i < width; i += Index{blockDim.x} * Each) body(i);
}

/// Folds what term(i, values) writes for each Each elements of a row, over all threads of the block.
template <class Op, int Each, class C, class Term>
__device__ C fold_elements(Index width, const Term& term) {
  C folded = Op::template identity<C>;
  for_elements<Each>(width, [&](Index i) {
    C values[Each];
    term(i, values);
#pragma unroll
    for (int e = 0; e < Each; ++e) folded = Op::combine(folded, values[e]);
  });
  return cuda::block_reduce<Op>(folded);
}

/// target (+)= values for the Each elements from i on.
template <int Each, class C, class T>
__device__ void put_elements(const DenseTarget<T>& target, Index i, C (&values)[Each]) {
  if (target.accumulate) {
    C old[Each];
    cuda::load_elements(target.data + i, old);
#pragma unroll
    for (int e = 0; e < Each; ++e) values[e] = old[e] + values[e];
  }
  cuda::store_elements(target.data + i, values);
}

/// Multiplies Each elements by those that lie from `factors` on.
template <int Each, class C, class G>
__device__ void multiply_elements(const G* factors, C (&values)[Each]) {
  C own[Each];
  cuda::load_elements(factors, own);
#pragma unroll
  for (int e = 0; e < Each; ++e) values[e] *= own[e];
}

template <int Each, class Body>
__global__ void rows_kernel(Index rows, Body body) {
  for (Index r = blockIdx.x; r < rows; r += gridDim.x) body.template operator()<Each>(r);
}

/// Starts body.operator()<Each>(r) for every row, in a block of threads. `aligned` says that
/// elements_per_access<T> elements may be read at once.
template <class T, class Body>
void launch_rows(const char* name, const Rows& rows, bool aligned, const Body& body) {
  if (rows.count == 0) return;
  constexpr int each = cuda::elements_per_access<T>;
  if (aligned)
    cuda::launch(name, rows_kernel<each, Body>, cuda::row_grid(rows.count, rows.width, each), rows.count,
                 body);
  else
    cuda::launch(name, rows_kernel<1, Body>, cuda::row_grid(rows.count, rows.width), rows.count, body);
}

template <int Each, class Body>
__global__ void elements_of_rows_kernel(Rows rows, Body body) {
  const Index of_row = rows.width / Each, step = Index{gridDim.x} * blockDim.x;
  for (Index p = Index{blockIdx.x} * blockDim.x + threadIdx.x; p < rows.count * of_row; p += step)
    body.template operator()<Each>(p / of_row, p % of_row * Each);
}
/// Starts body.operator()<Each>(row, i) for the Each elements from i on of every row, each in a thread of its
/// own. `aligned` says that elements_per_access<T> elements may be read at once.
template <class T, class Body>
void launch_elements_of_rows(const char* name, const Rows& rows, bool aligned, const Body& body) {
  if (rows.size() == 0) return;
  constexpr int each = cuda::elements_per_access<T>;
  const int multiprocessors = cuda::Context::instance().multiprocessors();
  if (aligned)
    cuda::launch(name, elements_of_rows_kernel<each, Body>,
                 cuda::striding_grid(rows.size() / each, multiprocessors), rows, body);
  else
    cuda::launch(name, elements_of_rows_kernel<1, Body>, cuda::striding_grid(rows.size(), multiprocessors),
                 rows, body);
}

/// The rows of an expression: `read_first` computes elements and writes them to `value`, from where the same
/// thread may read them again.
template <class T, class Nest, class Cursor>
struct ComputedRows {
  Nest nest;
  Cursor cursor;
  T* value;

  constexpr const T* operator()(Index r) const { return value + r * nest.inner; }
};

/// Reads the Each elements of row r from element i on for the first time; all later reads are of source(r).
template <int Each, class C, class T>
__device__ void read_first(const DenseRows<T>& source, Index r, Index i, C (&values)[Each]) {
  cuda::load_elements(source(r) + i, values);
}
template <int Each, class C, class T, class Nest, class Cursor>
__device__ void read_first(const ComputedRows<T, Nest, Cursor>& source, Index r, Index i, C (&values)[Each]) {
  Cursor cursor = source.cursor;
  cursor.seek(row_coordinates(source.nest, r));
  const auto fetched = fetch<Each>(cursor, Piece{i, Each, true});
#pragma unroll
  for (int e = 0; e < Each; ++e) values[e] = static_cast<C>(value_at<T>(fetched, e));
  cuda::store_elements(source.value + r * source.nest.inner + i, values);
}

/// True where elements_per_access<T> elements of all rows may be read at once.
template <class T>
bool rows_start_whole(const DenseRows<T>& source) {
  return cuda::rows_are_aligned<T>(source.width, source.data);
}
template <class T, class Nest, class Cursor>
bool rows_start_whole(const ComputedRows<T, Nest, Cursor>& source) {
  return cuda::rows_are_aligned<T>(source.nest.inner, source.value) &&
         cursor_starts_whole(source.cursor, cuda::elements_per_access<T>);
}

/// Calls forward(source) with the rows of an expression of shape S, each evaluated into `value` while the
/// operation is at it.
template <class S, class Node, class T, class Forward>
void with_evaluated_rows(Cuda, const Node& node, const S& shape, T* value, const Forward& forward) {
  const auto nest = loop_nest<1>(shape);
  const auto cursor = lowered<S, 1>(node);
  forward(ComputedRows<T, std::remove_const_t<decltype(nest)>, std::remove_const_t<decltype(cursor)>>{
      nest, cursor, value});
}

inline constexpr unsigned sum_threads = 256;

/// Sums terms(r, column, values) over the rows of each piece: partial[s][piece][column] for N sums.
template <int N, class C, class Terms>
__global__ void column_sums_kernel(Rows rows, Terms terms, C* partial) {
  constexpr unsigned lanes = cuda::warp_size, warps = sum_threads / lanes;
  __shared__ C shared[N][warps][lanes];
  const unsigned lane = threadIdx.x % lanes, warp = threadIdx.x / lanes;
  const Index column = Index{blockIdx.x} * lanes + lane;
  const Index piece = blockIdx.y, pieces = gridDim.y;
  const Index end = rows.count * (piece + 1) / pieces;
  C sums[N] = {};
  if (column < rows.width)
    for (Index r = rows.count * piece / pieces + warp; r < end; r += warps) {
      C values[N];
      terms(r, column, values);
#pragma unroll
      for (int s = 0; s < N; ++s) sums[s] += values[s];
    }
#pragma unroll
  for (int s = 0; s < N; ++s) shared[s][warp][lane] = sums[s];
  __syncthreads();
  if (warp > 0 || column >= rows.width) return;
#pragma unroll
  for (int s = 0; s < N; ++s) {
    C sum(0);
    for (unsigned w = 0; w < warps; ++w) sum += shared[s][w][lane];
    partial[(s * pieces + piece) * rows.width + column] = sum;
  }
}

/// Puts the sum of each column over `pieces` rows of numbers, in an order that depends on `pieces` alone.
template <class C, class G>
__global__ void __launch_bounds__(1024)
    combine_sums_kernel(Index width, Index pieces, const C* partial, DenseTarget<G> target) {
  constexpr unsigned lanes = cuda::warp_size;
  __shared__ C shared[lanes][lanes];
  const unsigned lane = threadIdx.x % lanes, warp = threadIdx.x / lanes, warps = blockDim.x / lanes;
  const Index column = Index{blockIdx.x} * lanes + lane;
  C sum(0);
  if (column < width)
    for (Index piece = warp; piece < pieces; piece += warps) sum += partial[piece * width + column];
  shared[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || column >= width) return;
  for (unsigned w = 1; w < warps; ++w) sum += shared[w][lane];
  target.put(column, sum);
}

/// Adds the sums of some columns to the targets, each where it is wanted: partial[s][piece][column].
template <class C, class... G>
void combine_sums(const char* name, Index width, Index pieces, const C* partial,
                  const DenseTarget<G>&... targets) {
  const auto grid = cuda::combine_sums_grid(width, pieces);
  const auto combine = [&]<class T>(const DenseTarget<T>& target) {
    if (target) cuda::launch(name, combine_sums_kernel<C, T>, grid, width, pieces, partial, target);
    partial += pieces * width;
  };
  (combine(targets), ...);
}

/// Adds the sums over all rows of what terms(r, column, values) writes to the targets, each where it is
/// wanted.
template <class C, class Terms, class... G>
void add_column_sums(const char* name, const Rows& rows, const Terms& terms,
                     const DenseTarget<G>&... targets) {
  constexpr int sums = sizeof...(G);
  if (rows.width == 0 || !(targets || ...)) return;
  const Index pieces = cuda::column_sum_pieces(rows.count);
  const Buffer<Cuda> partial{sums * pieces * rows.width * Index{sizeof(C)}};
  auto* const arrays = static_cast<C*>(partial.data());
  cuda::launch(name, column_sums_kernel<sums, C, Terms>, cuda::column_sum_grid(rows.count, rows.width), rows,
               terms, arrays);
  combine_sums<C>(name, rows.width, pieces, arrays, targets...);
}

/// Rows of which a thread has the Each elements from its own on, and N sums over the rows of a piece.
template <int Each, int N, class C, class Body>
__global__ void __launch_bounds__(cuda::most_row_threads) held_rows_kernel(Rows rows, Body body, C* partial) {
  const Index i = Index{threadIdx.x} * Each, piece = blockIdx.x, pieces = gridDim.x;
  const Index end = rows.count * (piece + 1) / pieces;
  C sums[N][Each] = {};
  for (Index r = rows.count * piece / pieces; r < end; ++r) body.template operator()<Each>(r, i, sums);
  if (i >= rows.width) return;
#pragma unroll
  for (int s = 0; s < N; ++s) cuda::store_elements(partial + (s * pieces + piece) * rows.width + i, sums[s]);
}

/// Starts body.operator()<Each>(r, i, sums) for every row, in threads of which each has the Each elements
/// from i on, as far as there are any; what it adds to sums[s][0 .. Each), over all rows, goes to the
/// targets. False, and nothing is done, where a block has too few threads for a row, or where there are no
/// rows.
template <class T, class C, class Body, class... G>
bool launch_held_rows(const char* name, const Rows& rows, bool aligned, const Body& body,
                      const DenseTarget<G>&... targets) {
  constexpr int each = cuda::elements_per_access<T>, sums = sizeof...(G);
  const Index here = aligned ? each : 1;
  if (rows.size() == 0 || rows.width > cuda::most_row_threads * here) return false;
  const Index pieces = cuda::held_row_pieces(rows.count);
  const Buffer<Cuda> partial{sums * pieces * rows.width * Index{sizeof(C)}};
  auto* const arrays = static_cast<C*>(partial.data());
  const auto grid = cuda::row_grid(pieces, rows.width, here);
  if (aligned)
    cuda::launch(name, held_rows_kernel<each, sums, C, Body>, grid, rows, body, arrays);
  else
    cuda::launch(name, held_rows_kernel<1, sums, C, Body>, grid, rows, body, arrays);
  combine_sums<C>(name, rows.width, pieces, arrays, targets...);
  return true;
}

}  // namespace burrow::detail
