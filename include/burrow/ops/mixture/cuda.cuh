// Routing of tokens to experts on a CUDA device. The host waits once for how many tokens chose each expert.
#pragma once

#include <burrow/core/for_each.cuh>
#include <burrow/ops/argmax/cuda.cuh>
#include <burrow/ops/gather/cuda.cuh>
#include <burrow/ops/mixture/routing.hpp>

namespace burrow::detail {

struct SortedTokens {
  const PlacedId* order;
  std::int32_t* tokens;
  __device__ void operator()(Index i) const { tokens[i] = static_cast<std::int32_t>(order[i].position); }
};

/// first[e] = how many tokens chose an expert before e
struct FirstOfExpert {
  const PlacedId* order;
  Index count;
  Index* first;

  __device__ void operator()(Index e) const {
    Index below = 0, end = count;
    while (below < end) {
      const Index middle = (below + end) / 2;
      if (Index{order[middle].id} < e)
        below = middle + 1;
      else
        end = middle;
    }
    first[e] = below;
  }
};

inline void sort_by_choice(Cuda, const std::int64_t* choices, Index count, std::int32_t* tokens,
                           Pooled<Index>& chosen) {
  const auto experts = static_cast<Index>(chosen.size());
  std::ranges::fill(chosen, 0);
  if (count == 0) return;
  const Buffer<Cuda> sorted = positions_by_id(Cuda{}, choices, count, experts);
  const auto* const order = static_cast<const PlacedId*>(sorted.data());
  for_each_index("routing", count, SortedTokens{order, tokens});
  const Buffer<Cuda> firsts{experts * Index{sizeof(Index)}};
  auto* const first = static_cast<Index*>(firsts.data());
  for_each_index("routing", experts, FirstOfExpert{order, count, first});
  copy_bytes(Cuda{}, Cpu{}, chosen.data(), first, experts * Index{sizeof(Index)});
  for (std::size_t e = 0; e < chosen.size(); ++e)
    chosen[e] = (e + 1 < chosen.size() ? chosen[e + 1] : count) - chosen[e];
}

template <class T, class C>
struct CombineExpert {
  ExpertPart<C> part;
  const T* rows;
  T* y;

  template <int Each>
  __device__ void operator()(Index i, Index k) const {
    const Index token = part.tokens[i], width = part.rows.width;
    const C share = part.shares[token * part.experts];
    C values[Each];
    cuda::load_elements(rows + i * width + k, values);
#pragma unroll
    for (int n = 0; n < Each; ++n) values[n] *= share;
    cuda::store_elements(y + token * width + k, values);
  }
};

template <class T, class C>
void combine_expert(Cuda, const ExpertPart<C>& part, const T* rows, T* y) {
  launch_elements_of_rows<T>("mixture", part.rows, cuda::rows_are_aligned<T>(part.rows.width, rows, y),
                             CombineExpert<T, C>{part, rows, y});
}

template <class T, class C>
struct CombineExpertBackward {
  ExpertPart<C> part;
  const T* rows;
  const T* dy;
  T* drows;
  C* dshares;

  template <int Each>
  __device__ void operator()(Index i) const {
    const Index token = part.tokens[i], width = part.rows.width;
    const C share = part.shares[token * part.experts];
    const C dot = fold_elements<SumOf, Each, C>(width, [&](Index k, C(&products)[Each]) {
      C upstream[Each];
      cuda::load_elements(dy + token * width + k, upstream);
      cuda::load_elements(rows + i * width + k, products);
#pragma unroll
      for (int n = 0; n < Each; ++n) {
        products[n] *= upstream[n];
        upstream[n] *= share;
      }
      cuda::store_elements(drows + i * width + k, upstream);
    });
    if (threadIdx.x == 0) dshares[token * part.experts] = dot;
  }
};

template <class T, class C>
void combine_expert_backward(Cuda, const ExpertPart<C>& part, const T* rows, const T* dy, T* drows,
                             C* dshares) {
  launch_rows<T>("mixture gradient", part.rows, cuda::rows_are_aligned<T>(part.rows.width, rows, dy, drows),
                 CombineExpertBackward<T, C>{part, rows, dy, drows, dshares});
}

}  // namespace burrow::detail
