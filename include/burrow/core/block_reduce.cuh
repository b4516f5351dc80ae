// Values of a warp's or a block's threads combined in a fixed order, and accesses of up to 16 bytes at once:
// what kernels that work row by row share. An operation to combine with has `combine(a, b)`, which commutes,
// and `identity<T>`, as SumOf and MaximumOf do.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include <burrow/core/cuda.cuh>

namespace burrow::cuda {

inline constexpr int warp_size = 32;
inline constexpr unsigned whole_warp = 0xFFFFFFFFu;

/// The value that lane (own lane xor mask) has, for any type of whole 4-byte words. All lanes take part.
template <class T>
__device__ T shuffle_xor(T value, int mask) {
  static_assert(sizeof(T) % sizeof(unsigned) == 0, "shuffle_xor: whole words only");
  auto words = std::bit_cast<std::array<unsigned, sizeof(T) / sizeof(unsigned)>>(value);
#pragma unroll
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = __shfl_xor_sync(whole_warp, words[i], mask);
  return std::bit_cast<T>(words);
}

/// The values of a warp's lanes combined, the same bits in every lane. All lanes take part.
template <class Op, class T>
__device__ T warp_reduce(T value) {
#pragma unroll
  for (int mask = warp_size / 2; mask > 0; mask /= 2) value = Op::combine(value, shuffle_xor(value, mask));
  return value;
}

/// The values of all threads of a block of whole warps combined, the same bits in every thread. All threads
/// take part; whatever they wrote to shared or global memory before is seen by all afterwards.
template <class Op, class T>
__device__ T block_reduce(T value) {
  __shared__ T partial[warp_size];
  const int lane = static_cast<int>(threadIdx.x) % warp_size,
            warp = static_cast<int>(threadIdx.x) / warp_size;
  const int warps = static_cast<int>(blockDim.x) / warp_size;
  value = warp_reduce<Op>(value);
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  constexpr T identity = Op::template identity<T>;  // a constant of class type must be a local one here
  value = warp_reduce<Op>(lane < warps ? partial[lane] : identity);
  __syncthreads();  // the array is free for the next call
  return value;
}

/// Elements of T in an access of 16 bytes.
template <class T>
inline constexpr int elements_per_access = sizeof(T) < 16 ? 16 / static_cast<int>(sizeof(T)) : 1;

/// Bytes on a multiple of which `Each` elements of T lie that are read at once.
template <class T, int Each>
inline constexpr std::size_t access_alignment = std::min<std::size_t>(16, sizeof(T) * Each);

/// Reads `Each` elements as C, 16 bytes at a time. `p` lies on a multiple of `access_alignment`.
template <int Each, class C, class T>
__device__ void load_elements(const T* p, C (&values)[Each]) {
  struct alignas(access_alignment<T, Each>) Group {
    T elements[Each];
  };
  const Group group = *reinterpret_cast<const Group*>(p);
#pragma unroll
  for (int i = 0; i < Each; ++i) values[i] = static_cast<C>(group.elements[i]);
}
/// Writes them.
template <int Each, class C, class T>
__device__ void store_elements(T* p, const C (&values)[Each]) {
  struct alignas(access_alignment<T, Each>) Group {
    T elements[Each];
  };
  Group group;
#pragma unroll
  for (int i = 0; i < Each; ++i) group.elements[i] = static_cast<T>(values[i]);
  *reinterpret_cast<Group*>(p) = group;
}

/// True where all rows of some arrays, `width` elements each, can be read elements_per_access<T> elements at
/// a time. Null pointers, which nobody reads, do no harm.
template <class T, class... U>
bool rows_are_aligned(Index width, const U*... p) {
  constexpr int each = elements_per_access<T>;
  return width % each == 0 && ((reinterpret_cast<std::uintptr_t>(p) % access_alignment<U, each> == 0) && ...);
}

}  // namespace burrow::cuda
