// Positions sorted by the id that stands at them, equal ids in their order, on a CUDA device: by digits of 8
// bits from the lowest on, each by counting. One warp counts and moves a piece, in order.
#pragma once

#include <cstdint>

#include <burrow/core/block_reduce.cuh>
#include <burrow/ops/index_check.hpp>

namespace burrow::detail {

inline constexpr int digit_bits = 8;
inline constexpr Index digits = Index{1} << digit_bits;
inline constexpr Index sort_piece = 1024;

/// An id and its position.
struct PlacedId {
  std::uint32_t id;
  std::uint32_t position;
};

/// The lanes of the warp whose digit is this lane's, of those that have one.
__device__ inline unsigned lanes_of_digit(std::uint32_t digit, bool exists) {
  unsigned same = __ballot_sync(cuda::whole_warp, exists);
#pragma unroll
  for (int bit = 0; bit < digit_bits; ++bit) {
    const bool set = (digit >> bit & 1u) != 0;
    const unsigned with = __ballot_sync(cuda::whole_warp, set);
    same &= set ? with : ~with;
  }
  return same;
}

/// Visits a piece in order, 32 at a time: visit(item, the place of its digit's next one in `next`). A digit's
/// place moves on behind it.
template <class Item, class Visit>
__device__ void for_digits(Index count, int shift, Index* next, const Item& item, const Visit& visit) {
  const Index begin = Index{blockIdx.x} * sort_piece, end = begin + sort_piece;
  const unsigned lane = threadIdx.x;
  for (Index base = begin; base < end && base < count; base += cuda::warp_size) {
    const Index i = base + lane;
    const bool exists = i < count;
    const PlacedId placed = exists ? item(i) : PlacedId{0, 0};
    const std::uint32_t digit = placed.id >> shift & (digits - 1);
    const unsigned same = lanes_of_digit(digit, exists);
    const int before = __popc(same & ((1u << lane) - 1u));
    if (exists) visit(placed, next[digit] + before);
    __syncwarp();
    if (exists && before == 0) next[digit] += __popc(same);
    __syncwarp();
  }
}

/// counts[digit][piece]
template <class Item>
__global__ void count_digits_kernel(Index count, int shift, Item item, Index* counts) {
  __shared__ Index next[digits];
  for (Index d = threadIdx.x; d < digits; d += cuda::warp_size) next[d] = 0;
  __syncwarp();
  for_digits(count, shift, next, item, [](PlacedId, Index) {});
  for (Index d = threadIdx.x; d < digits; d += cuda::warp_size) counts[d * gridDim.x + blockIdx.x] = next[d];
}

/// Replaces each of `size` numbers by the sum of those before it, in one block.
template <class N>
__global__ void running_sums_kernel(N* numbers, Index size) {
  __shared__ N of_warps[cuda::warp_size];
  const int lane = static_cast<int>(threadIdx.x) % cuda::warp_size;
  const int warp = static_cast<int>(threadIdx.x) / cuda::warp_size;
  N before = 0;  // the sum of all numbers of earlier rounds
  for (Index base = 0; base < size; base += blockDim.x) {
    const Index i = base + threadIdx.x;
    const N number = i < size ? numbers[i] : 0;
    N sum = number;  // of this lane and those before it
    for (int distance = 1; distance < cuda::warp_size; distance *= 2) {
      const N other = __shfl_up_sync(cuda::whole_warp, sum, static_cast<unsigned>(distance));
      if (lane >= distance) sum += other;
    }
    if (lane == cuda::warp_size - 1) of_warps[warp] = sum;
    __syncthreads();
    N earlier = before;
    for (int w = 0; w < static_cast<int>(blockDim.x) / cuda::warp_size; ++w) {
      if (w < warp) earlier += of_warps[w];
      before += of_warps[w];
    }
    if (i < size) numbers[i] = earlier + sum - number;
    __syncthreads();
  }
}

template <class Item>
__global__ void move_by_digit_kernel(Index count, int shift, Item item, const Index* starts, PlacedId* to) {
  __shared__ Index next[digits];
  for (Index d = threadIdx.x; d < digits; d += cuda::warp_size) next[d] = starts[d * gridDim.x + blockIdx.x];
  __syncwarp();
  for_digits(count, shift, next, item, [to](PlacedId placed, Index at) { to[at] = placed; });
}

template <class I>
struct UnsortedIds {
  const I* ids;
  __device__ PlacedId operator()(Index i) const {
    return {static_cast<std::uint32_t>(ids[i]), static_cast<std::uint32_t>(i)};
  }
};
struct SortedIds {
  const PlacedId* items;
  __device__ PlacedId operator()(Index i) const { return items[i]; }
};

/// The items of `count` positions in the order of (id, position); ids are below `limit`.
template <class Item>
Buffer<Cuda> sorted_by_id(Index count, Index limit, const Item& unsorted) {
  constexpr Index most = Index{1} << 32;
  if (count > most || limit > most) throw Error("a sum by index: more than 2^32 indices or rows");
  constexpr unsigned scan_threads = 1024;
  const Index pieces = (count + sort_piece - 1) / sort_piece, bytes = count * Index{sizeof(PlacedId)};
  const Buffer<Cuda> counts{digits * pieces * Index{sizeof(Index)}};
  auto* const starts = static_cast<Index*>(counts.data());
  const cuda::Grid grid{static_cast<unsigned>(pieces), 1, 1, cuda::warp_size};
  const auto pass = [&]<class From>(int shift, const From& from, const Buffer<Cuda>& to) {
    cuda::launch("sorted indices", count_digits_kernel<From>, grid, count, shift, from, starts);
    cuda::launch("sorted indices", running_sums_kernel<Index>, {1, 1, 1, scan_threads}, starts,
                 digits * pieces);
    cuda::launch("sorted indices", move_by_digit_kernel<From>, grid, count, shift, from,
                 static_cast<const Index*>(starts), static_cast<PlacedId*>(to.data()));
  };
  Buffer<Cuda> sorted{bytes}, other;
  if (count == 0) return sorted;
  pass(0, unsorted, sorted);
  for (int shift = digit_bits; (limit - 1) >> shift > 0; shift += digit_bits) {
    if (!other) other = Buffer<Cuda>{bytes};
    pass(shift, SortedIds{static_cast<const PlacedId*>(sorted.data())}, other);
    std::swap(sorted, other);
  }
  return sorted;
}

/// The positions of `ids`, all in [0, limit), in the order of (id, position).
template <IndexElement I>
Buffer<Cuda> positions_by_id(Cuda, const I* ids, Index count, Index limit) {
  return sorted_by_id(count, limit, UnsortedIds<I>{ids});
}

}  // namespace burrow::detail
