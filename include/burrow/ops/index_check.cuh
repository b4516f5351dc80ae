// The check of integers that name rows on a CUDA device. The host waits for the verdict.
#pragma once

#include <burrow/core/block_reduce.cuh>
#include <burrow/ops/index_check.hpp>

namespace burrow::detail {

/// Two scans as one: the first refusal stays.
struct IndexScanOf {
  template <class S>
  static constexpr S identity = {0, -1, 0};
  static constexpr IndexScan combine(IndexScan a, IndexScan b) {
    const Index counted = a.counted + b.counted;
    const bool first = b.refused_at < 0 || (a.refused_at >= 0 && a.refused_at < b.refused_at);
    return first ? IndexScan{counted, a.refused_at, a.refused} : IndexScan{counted, b.refused_at, b.refused};
  }
};

template <class I>
__global__ void scan_indices_kernel(const I* indices, Index count, Index limit, bool negative_allowed,
                                    IndexScan* result) {
  IndexScan scan{0, -1, 0};
  for (Index i = threadIdx.x; i < count; i += blockDim.x) {
    const auto index = static_cast<Index>(indices[i]);
    const bool refused = index >= limit || (index < 0 && !negative_allowed);
    scan = IndexScanOf::combine(scan, {index >= 0 ? 1 : 0, refused ? i : -1, index});
  }
  scan = cuda::block_reduce<IndexScanOf>(scan);
  if (threadIdx.x == 0) *result = scan;
}

template <IndexElement I>
IndexScan scan_indices(Cuda, const I* indices, Index count, Index limit, bool negative_allowed) {
  constexpr unsigned threads = 512;
  const Buffer<Cuda> result{sizeof(IndexScan)};
  cuda::launch("a check of indices", scan_indices_kernel<I>, {1, 1, 1, threads}, indices, count, limit,
               negative_allowed, static_cast<IndexScan*>(result.data()));
  IndexScan scan;
  copy_bytes(Cuda{}, Cpu{}, &scan, result.data(), sizeof(scan));
  return scan;
}

}  // namespace burrow::detail
