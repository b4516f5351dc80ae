// Positions sorted by the id that stands at them, equal ids in their order, on a CUDA device: by digits of 8
// bits from the lowest on, each by counting. One warp counts and moves a piece, in order.
#pragma once

#include <bit>
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

/// The positions of `ids`, all in [0, limit), in the order of (id, position).
template <IndexElement I>
Buffer<Cuda> positions_by_id(Cuda, const I* ids, Index count, Index limit) {
  constexpr Index most = Index{1} << 32;
  if (count > most || limit > most) throw Error("a sum by index: more than 2^32 indices or rows");
  constexpr unsigned scan_threads = 1024;
  const Index pieces = (count + sort_piece - 1) / sort_piece;
  const Buffer<Cuda> counts{digits * pieces * Index{sizeof(Index)}};
  auto* const starts = static_cast<Index*>(counts.data());
  const cuda::Grid grid{static_cast<unsigned>(pieces), 1, 1, cuda::warp_size};
  Buffer<Cuda> sorted, other{count * Index{sizeof(PlacedId)}};
  const auto pass = [&](int shift, const auto& item, PlacedId* to) {
    using Item = std::decay_t<decltype(item)>;
    cuda::launch("sorted indices", count_digits_kernel<Item>, grid, count, shift, item, starts);
    cuda::launch("sorted indices", running_sums_kernel<Index>, {1, 1, 1, scan_threads}, starts,
                 digits * pieces);
    cuda::launch("sorted indices", move_by_digit_kernel<Item>, grid, count, shift, item,
                 static_cast<const Index*>(starts), to);
  };
  const int bits =
      static_cast<int>(std::bit_width(static_cast<std::uint64_t>(std::max<Index>(limit - 1, 1))));
  for (int shift = 0; shift < bits; shift += digit_bits) {
    if (shift == 0)
      pass(shift, UnsortedIds<I>{ids}, static_cast<PlacedId*>(other.data()));
    else
      pass(shift, SortedIds{static_cast<const PlacedId*>(sorted.data())},
           static_cast<PlacedId*>(other.data()));
    std::swap(sorted, other);
    if (!other) other = Buffer<Cuda>{count * Index{sizeof(PlacedId)}};
  }
  return sorted;
}

}  // namespace burrow::detail
