// Layer normalisation of rows on the CPU.
#pragma once

#include <burrow/ops/rows.hpp>

namespace burrow::detail {

/// What the forward pass of layer_norm keeps of a row: its mean and 1 / sqrt(variance + epsilon).
template <class C>
struct RowMoments {
  C mean;
  C rho;
};

template <class C, class T>
RowMoments<C> row_moments(const T* x, Index width, C epsilon) {
  const C sum =
      row_sum<C>(width, [x]<bool Full>(Index i, Index count) { return load_packet<C, Full>(x + i, count); });
  const C mean = sum / static_cast<C>(width);
  const C squares = row_sum<C>(width, [x, mean]<bool Full>(Index i, Index count) {
    const auto centered = load_packet<C, Full>(x + i, count) - Packet<C>(mean);
    return centered * centered;
  });
  return {mean, C(1) / number::sqrt(squares / static_cast<C>(width) + epsilon)};
}

/// Row r of x is x(r). Also writes the moments of each row.
template <class Source, class T, class G, class B, class C>
void layer_norm_forward(Cpu, const Rows& rows, const Source& x, const G* gain, const B* bias, C epsilon, T* y,
                        RowMoments<C>* moments) {
  for_each_row(rows, [&](Index r) {
    const T* const from = x(r);
    T* const to = y + r * rows.width;
    moments[r] = row_moments(from, rows.width, epsilon);
    const Packet<C> mean(moments[r].mean), rho(moments[r].rho);
    for_packets<lanes<C>>(0, rows.width, [&]<bool Full>(Index i, Index count) {
      const auto n = (load_packet<C, Full>(from + i, count) - mean) * rho;
      store_packet(
          to + i,
          fused_multiply_add(n, load_packet<C, Full>(gain + i, count), load_packet<C, Full>(bias + i, count)),
          count, Full);
    });
  });
}

/// dx of one row, with h = gain dy and n the normalised row: rho (h - mean(h) - n mean(h n)).
template <class T, class G, class C>
void layer_norm_row_backward(Index width, const T* x, const G* gain, RowMoments<C> moments, const T* dy,
                             DenseTarget<T> dx) {
  const Packet<C> mean(moments.mean), rho(moments.rho);
  const auto h = [&]<bool Full>(Index i, Index count) {
    return load_packet<C, Full>(gain + i, count) * load_packet<C, Full>(dy + i, count);
  };
  const auto n = [&]<bool Full>(Index i, Index count) {
    return (load_packet<C, Full>(x + i, count) - mean) * rho;
  };
  const Packet<C> mean_h(row_sum<C>(width, h) / static_cast<C>(width));
  const Packet<C> mean_hn(row_sum<C>(width,
                                     [&]<bool Full>(Index i, Index count) {
                                       return h.template operator()<Full>(i, count) *
                                              n.template operator()<Full>(i, count);
                                     }) /
                          static_cast<C>(width));
  for_packets<lanes<C>>(0, width, [&]<bool Full>(Index i, Index count) {
    dx.template put<Full>(i,
                          rho * (h.template operator()<Full>(i, count) - mean_h -
                                 n.template operator()<Full>(i, count) * mean_hn),
                          count);
  });
}

/// Adds one row's dy n and dy to the sums for gain and bias, where they are asked for.
template <class T, class C>
void layer_norm_row_sums(Index width, const T* x, RowMoments<C> moments, const T* dy, C* gain_sums,
                         C* bias_sums) {
  const Packet<C> mean(moments.mean), rho(moments.rho);
  for_packets<lanes<C>>(0, width, [&]<bool Full>(Index i, Index count) {
    const auto upstream = load_packet<C, Full>(dy + i, count);
    if (gain_sums != nullptr) {
      const auto n = (load_packet<C, Full>(x + i, count) - mean) * rho;
      store_packet(gain_sums + i, fused_multiply_add(n, upstream, load_packet<C, Full>(gain_sums + i, count)),
                   count, Full);
    }
    if (bias_sums != nullptr)
      store_packet(bias_sums + i, load_packet<C, Full>(bias_sums + i, count) + upstream, count, Full);
  });
}

/// Writes dx before it touches dgain, and dgain before dbias, so that they may be the same array.
template <class T, class G, class B, class C>
void layer_norm_backward(Cpu, const Rows& rows, const T* x, const G* gain, const RowMoments<C>* moments,
                         const T* dy, DenseTarget<T> dx, DenseTarget<G> dgain, DenseTarget<B> dbias) {
  const Index pieces = chunk_count(rows.size(), rows.width);
  Partials<SumOf, C> gain_partials{pieces, dgain ? rows.width : 0};
  Partials<SumOf, C> bias_partials{pieces, dbias ? rows.width : 0};
  for_each_row(
      rows, pieces,
      [&](Index piece) {
        return std::pair{gain_partials.start(piece), bias_partials.start(piece)};
      },
      [&](const std::pair<C*, C*>& sums, Index r) {
        const T* const from = x + r * rows.width;
        const T* const upstream = dy + r * rows.width;
        if (dx) layer_norm_row_backward(rows.width, from, gain, moments[r], upstream, dx.row(r, rows.width));
        if (dgain || dbias)
          layer_norm_row_sums(rows.width, from, moments[r], upstream, dgain ? sums.first : nullptr,
                              dbias ? sums.second : nullptr);
      });
  gain_partials.combine([&](Index j, C sum) { dgain.put(j, sum); });
  bias_partials.combine([&](Index j, C sum) { dbias.put(j, sum); });
}

}  // namespace burrow::detail
