// Parts of an axis by index on a CUDA device, and sums of parts into an axis in a fixed order. Ids are
// checked by a kernel whose verdict comes later, so those out of range are met here: they name nothing.
#pragma once

#include <burrow/ops/gather/gather.hpp>
#include <burrow/ops/gather/sort.cuh>
#include <burrow/ops/index_check.cuh>
#include <burrow/ops/rows.cuh>

namespace burrow::detail {

template <class T, class G, class I>
struct GatherForward {
  Lines lines;
  const I* ids;
  Index count;
  const G* x;
  T* y;

  template <int Each>
  __device__ void operator()(Index row, Index i) const {
    const auto id = static_cast<Index>(ids[row % count]);
    const Index from = row / count * lines.extent + id;
    compute_type<G> values[Each] = {};
    if (id >= 0 && id < lines.extent) cuda::load_elements(x + from * lines.inner + i, values);
    cuda::store_elements(y + row * lines.inner + i, values);
  }
};

template <class T, class G, IndexElement I>
void gather_forward(Cuda, const Lines& lines, const I* ids, Index count, const G* x, T* y) {
  launch_elements_of_rows<T>("gather", Rows{lines.outer * count, lines.inner},
                             cuda::rows_are_aligned<T>(lines.inner, x, y),
                             GatherForward<T, G, I>{lines, ids, count, x, y});
}

/// The sum of a run of equal ids, by the thread of its first one.
template <class T, class G>
struct ScatterSum {
  Lines lines;
  const PlacedId* order;
  Index count;
  const T* dy;
  G* to;

  template <int Each>
  __device__ void operator()(Index row, Index i) const {
    using C = compute_type<G>;
    const Index o = row / count, first = row % count;
    const std::uint32_t id = order[first].id;
    if (Index{id} >= lines.extent || (first > 0 && order[first - 1].id == id)) return;
    const T* const from = dy + o * count * lines.inner + i;
    C sum[Each] = {};
    constexpr int ahead = 8;  // rows that are read before they are added
    for (Index k = first; k < count && order[k].id == id; k += ahead) {
      C values[ahead][Each] = {};
#pragma unroll
      for (int a = 0; a < ahead; ++a)
        if (k + a < count && order[k + a].id == id)
          cuda::load_elements(from + Index{order[k + a].position} * lines.inner, values[a]);
#pragma unroll
      for (int a = 0; a < ahead; ++a)
#pragma unroll
        for (int e = 0; e < Each; ++e) sum[e] += values[a][e];
    }
    put_elements(DenseTarget<G>{to, true}, (o * lines.extent + Index{id}) * lines.inner + i, sum);
  }
};

template <class T, class G, IndexElement I>
void scatter_sum(Cuda, const Lines& lines, const I* ids, Index count, const T* dy, DenseTarget<G> to) {
  if (!to.accumulate) fill_zero(Cuda{}, to.data, lines.outer * lines.extent * lines.inner * Index{sizeof(G)});
  if (count == 0) return;
  const Buffer<Cuda> sorted = positions_by_id(Cuda{}, ids, count, lines.extent);
  launch_elements_of_rows<T>(
      "gather gradient", Rows{lines.outer * count, lines.inner},
      cuda::rows_are_aligned<T>(lines.inner, dy, to.data),
      ScatterSum<T, G>{lines, static_cast<const PlacedId*>(sorted.data()), count, dy, to.data});
}

template <class T, class I>
struct TakeAlongForward {
  Lines lines;
  const I* ids;
  Index count;
  const T* x;
  T* y;

  template <int>
  __device__ void operator()(Index row, Index i) const {
    const Index at = row * lines.inner + i;
    const auto id = static_cast<Index>(ids[at]);
    const bool known = id >= 0 && id < lines.extent;
    y[at] = known ? x[(row / count * lines.extent + id) * lines.inner + i] : T(0);
  }
};

template <class T, IndexElement I>
void take_along_forward(Cuda, const Lines& lines, const I* ids, Index count, const T* x, T* y) {
  launch_elements_of_rows<T>("take_along", Rows{lines.outer * count, lines.inner}, false,
                             TakeAlongForward<T, I>{lines, ids, count, x, y});
}

/// The sums of one line, in order, by one thread.
template <class T, class I>
struct TakeAlongBackward {
  Lines lines;
  const I* ids;
  Index count;
  const T* dy;
  DenseTarget<T> dx;
  compute_type<T>* sums;

  template <int>
  __device__ void operator()(Index o, Index i) const {
    const auto at = [&](Index k) { return (o * lines.extent + k) * lines.inner + i; };
    for (Index k = 0; k < lines.extent; ++k) sums[at(k)] = 0;
    for (Index k = 0; k < count; ++k) {
      const Index from = (o * count + k) * lines.inner + i;
      const auto id = static_cast<Index>(ids[from]);
      if (id >= 0 && id < lines.extent) sums[at(id)] += static_cast<compute_type<T>>(dy[from]);
    }
    for (Index k = 0; k < lines.extent; ++k) dx.put(at(k), sums[at(k)]);
  }
};

template <class T, IndexElement I>
void take_along_backward(Cuda, const Lines& lines, const I* ids, Index count, const T* dy,
                         DenseTarget<T> dx) {
  using C = compute_type<T>;
  const Buffer<Cuda> sums{lines.outer * lines.extent * lines.inner * Index{sizeof(C)}};
  launch_elements_of_rows<T>(
      "take_along gradient", Rows{lines.outer, lines.inner}, false,
      TakeAlongBackward<T, I>{lines, ids, count, dy, dx, static_cast<C*>(sums.data())});
}

}  // namespace burrow::detail
