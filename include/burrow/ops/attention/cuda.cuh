// Causal attention on a CUDA device: plain, with linear biases, or with Transformer-XL relative positions.
// bf16, half and float go through tiles where the head is at most 128 wide; double and wider heads row by
// row.
#pragma once

#include <burrow/ops/attention/column_gradient.cuh>
#include <burrow/ops/attention/few_queries.cuh>

namespace burrow::detail {

/// True where the kernels with tiles take the heads.
template <class T>
constexpr bool attention_in_tiles(const AttentionExtents& e) {
  return (Narrow<T> || std::same_as<T, float>)&&cuda::tile_width(e.head_width) > 0;
}

/// Calls start<Width>() for the width of tiles that a head takes.
template <class Start>
void for_tile_width(Index head_width, const Start& start) {
  switch (cuda::tile_width(head_width)) {
    case 32:
      return start.template operator()<32>();
    case 64:
      return start.template operator()<64>();
    default:
      return start.template operator()<128>();
  }
}

/// As attention_forward on the CPU, see ops/attention/cpu.hpp.
template <class T>
void attention_forward(Cuda, const AttentionExtents& e, const AttentionOperands<T>& in, T* out,
                       compute_type<T>* log_sums) {
  if (e.batch * e.queries * e.width() == 0) return;
  const bool aligned =
      cuda::rows_are_aligned<T>(e.head_width, in.queries, in.keys, in.values, in.positions, out);
  if constexpr (attention_in_tiles<T>({1, 1, 1, 1, 1, 1}))
    if (attention_in_tiles<T>(e))
      return for_tile_width(e.head_width, [&]<int Width>() {
        if (e.queries <= cuda::KeyChunks::most_queries)
          cuda::start_key_chunks<Width>(e, in, aligned, out, log_sums);
        else
          cuda::start_forward_tiles<Width>(e, in, aligned, out, log_sums);
      });
  cuda::start_forward_rows(e, in, out, log_sums);
}

/// The gradients where there is no query.
template <class T>
void clear_gradients(const AttentionExtents& e, const AttentionGradients<T>& gradients) {
  const auto clear = [](T* data, Index count) {
    if (data != nullptr && count > 0) fill_zero(Cuda{}, data, count * Index{sizeof(T)});
  };
  clear(gradients.keys, e.batch * e.keys * e.key_width());
  clear(gradients.values, e.batch * e.keys * e.key_width());
  clear(gradients.positions, e.keys * e.width());
  clear(gradients.content_bias, e.width());
  clear(gradients.position_bias, e.width());
}

/// As attention_backward on the CPU. Every sum has one writer and a fixed order.
template <class T>
void attention_backward(Cuda, const AttentionExtents& e, const AttentionOperands<T>& in, const T* out,
                        const compute_type<T>* log_sums, const T* out_gradient,
                        const AttentionGradients<T>& gradients) {
  using C = compute_type<T>;
  const Index rows = e.batch * e.heads * e.queries;
  if (rows * e.head_width == 0) return clear_gradients(e, gradients);
  const Buffer<Cuda> products{rows * Index{sizeof(C)}};
  const cuda::OutputGradient<T> dy{log_sums, static_cast<const C*>(products.data()), out_gradient};
  cuda::launch("the gradient of attention", cuda::attention_output_products<T>,
               cuda::attention_row_grid<C>(rows, e.head_width, 0), e, out, out_gradient,
               static_cast<C*>(products.data()));
  const bool aligned =
      cuda::rows_are_aligned<T>(e.head_width, in.queries, in.keys, in.values, in.positions, out_gradient,
                                gradients.queries, gradients.keys, gradients.values);
  if constexpr (attention_in_tiles<T>({1, 1, 1, 1, 1, 1}))
    if (attention_in_tiles<T>(e))
      return for_tile_width(e.head_width, [&]<int Width>() {
        cuda::start_backward_tiles<Width>(e, in, aligned, dy, gradients);
      });
  cuda::start_backward_rows(e, in, dy, gradients);
}

}  // namespace burrow::detail
