// The check of integers that name rows on a CUDA device. The host does not wait for the verdict: the device
// keeps the first refusal, and the next wait throws it.
#pragma once

#include <burrow/core/block_reduce.cuh>
#include <burrow/ops/index_check.hpp>
#include <burrow/tensor/device_number.hpp>

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

/// Extents by value.
class KeptExtents {
 public:
  static constexpr std::size_t most = 6;

  constexpr KeptExtents() = default;
  /// Throws Error where there are too many.
  explicit KeptExtents(std::span<const Index> extents) : rank_{extents.size()} {
    if (rank_ > most) throw Error("a check of indices: more than 6 axes");
    std::copy(extents.begin(), extents.end(), values_.begin());
  }
  std::span<const Index> values() const { return {values_.data(), rank_}; }

 private:
  std::array<Index, most> values_{};
  std::size_t rank_ = 0;
};

/// All that the message of a refused index says, for a kernel to keep.
struct RefusedIndex {
  const char *operation, *what;
  Location where;
  Index limit, axis;
  KeptExtents extents, axis_extents;
  IndexScan scan;

  [[noreturn]] static void raise(const void* details) {
    const auto& r = *static_cast<const RefusedIndex*>(details);
    index_is_refused(r.operation, r.what, r.scan, r.extents.values(), r.limit, r.where,
                     {r.axis, r.axis_extents.values()});
  }
};

/// Looks at all indices in one block; `counted` is null or takes how many are not negative.
template <class I>
__global__ void scan_indices_kernel(const I* indices, Index count, bool negative_allowed, Index* counted,
                                    RefusedIndex refusal, void (*raise)(const void*), cuda::Fault* fault) {
  IndexScan scan{0, -1, 0};
  for (Index i = threadIdx.x; i < count; i += blockDim.x) {
    const auto index = static_cast<Index>(indices[i]);
    const bool refused = index >= refusal.limit || (index < 0 && !negative_allowed);
    scan = IndexScanOf::combine(scan, {index >= 0 ? 1 : 0, refused ? i : -1, index});
  }
  scan = cuda::block_reduce<IndexScanOf>(scan);
  if (threadIdx.x > 0) return;
  if (counted != nullptr) *counted = scan.counted;
  if (scan.refused_at < 0) return;
  refusal.scan = scan;
  fault->report(raise, refusal);
}

template <IndexElement I, class S>
void scan_indices(const char* operation, const char* what, const I* indices, const S& shape, Index limit,
                  bool negative_allowed, Location where, const IndexedAxis& axis, Index* counted) {
  constexpr unsigned threads = 512;
  auto& context = cuda::Context::instance();
  const RefusedIndex refusal{
      operation, what, where, limit, axis.number, KeptExtents{shape.values()}, KeptExtents{axis.extents}, {}};
  cuda::launch("a check of indices", scan_indices_kernel<I>, {1, 1, 1, threads}, indices, shape.size(),
               negative_allowed, counted, refusal, &RefusedIndex::raise, context.fault());
  if (context.checks_at_once) context.synchronize("a check of indices");
}

/// As on the CPU, but that the next wait throws.
template <IndexElement I, class S>
void check_indices(Cuda, const char* operation, const char* what, const I* indices, const S& shape,
                   Index limit, bool negative_allowed, Location where, const IndexedAxis& axis = {}) {
  scan_indices(operation, what, indices, shape, limit, negative_allowed, where, axis, nullptr);
}
template <IndexElement I, class S>
DeviceNumber<Index, Cuda> count_indices(Cuda, const char* operation, const char* what, const I* indices,
                                        const S& shape, Index limit, Location where) {
  Tensor<Index, Shape<>, Cuda> counted;
  scan_indices(operation, what, indices, shape, limit, true, where, {}, counted.data());
  return DeviceNumber<Index, Cuda>{counted};
}

}  // namespace burrow::detail
