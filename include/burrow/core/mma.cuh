// Products on tensor cores, one warp at a time: m16n8k16 with sums in fp32, and the loads that lay out its
// operands. Fragments as in the PTX manual ("Matrix Fragments for mma.m16n8k16"), with g = lane / 4 and
// t = lane % 4; a register holds two neighbours, the first in its low half:
//   a (16 x 16)  a[0]: row g, columns 2t, 2t+1;  a[1]: row g+8;  a[2]: columns + 8;  a[3]: both
//   b (16 x 8)   b[0]: rows 2t, 2t+1, column g;  b[1]: rows + 8
//   d (16 x 8)   d[0], d[1]: row g, columns 2t, 2t+1;  d[2], d[3]: row g+8
#pragma once

#include <concepts>
#include <cstdint>

#include <burrow/core/dtype.hpp>

namespace burrow::cuda {

/// d += a b for a warp.
template <Narrow T>
__device__ inline void multiply_add(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  if constexpr (std::same_as<T, bf16>)
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
        "{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/// Two numbers rounded to T in one register, the first in its low half.
template <Narrow T>
__device__ inline std::uint32_t pair_of(float first, float second) {
  std::uint32_t pair;
  if constexpr (std::same_as<T, bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
}

/// Writes such a register to two neighbours, the first of which lies on a multiple of 4 bytes.
template <Narrow T>
__device__ inline void store_pair(T* to, std::uint32_t pair) {
  *reinterpret_cast<std::uint32_t*>(to) = pair;
}

/// Four 8 x 8 matrices of 16-bit elements from shared memory: lane l gives the address of row l % 8 of matrix
/// l / 8 (16 bytes, aligned) and receives in r[i] the elements 2t, 2t+1 of row g of matrix i.
__device__ inline void load_matrices(std::uint32_t (&r)[4], const void* row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

/// The same, transposed: the lane receives in r[i] the elements of rows 2t, 2t+1 in column g of matrix i.
__device__ inline void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

}  // namespace burrow::cuda
