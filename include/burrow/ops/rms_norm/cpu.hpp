// RMS normalisation of rows on the CPU.
#pragma once

#include <burrow/ops/rows.hpp>

namespace burrow::detail {

/// Row r of x is x(r). Also writes rho = 1 / sqrt(mean(x^2) + epsilon) of each row.
template <class Source, class T, class G, class C>
void rms_norm_forward(Cpu, const Rows& rows, const Source& x, const G* gain, C epsilon, T* y, C* rho) {
  for_each_row(rows, [&](Index r) {
    const T* const from = x(r);
    T* const to = y + r * rows.width;
    const C squares = row_sum<C>(rows.width, [from]<bool Full>(Index i, Index count) {
      const auto value = load_packet<C, Full>(from + i, count);
      return value * value;
    });
    rho[r] = C(1) / number::sqrt(squares / static_cast<C>(rows.width) + epsilon);
    const Packet<C> scale(rho[r]);
    for_packets<lanes<C>>(0, rows.width, [&]<bool Full>(Index i, Index count) {
      const auto value = load_packet<C, Full>(from + i, count) * scale;
      store_packet(to + i, value * load_packet<C, Full>(gain + i, count), count, Full);
    });
  });
}

/// dx of one row, with h = gain dy and n = x rho: rho (h - n mean(h n)).
template <class T, class G, class C>
void rms_norm_row_backward(Index width, const T* x, const G* gain, C rho, const T* dy, DenseTarget<T> dx) {
  const Packet<C> scale(rho);
  const C dot = row_sum<C>(width, [&]<bool Full>(Index i, Index count) {
    return load_packet<C, Full>(x + i, count) * scale * load_packet<C, Full>(gain + i, count) *
           load_packet<C, Full>(dy + i, count);
  });
  const Packet<C> shift(rho * dot / static_cast<C>(width));
  for_packets<lanes<C>>(0, width, [&]<bool Full>(Index i, Index count) {
    const auto h = load_packet<C, Full>(gain + i, count) * load_packet<C, Full>(dy + i, count);
    dx.template put<Full>(i, scale * (h - load_packet<C, Full>(x + i, count) * shift), count);
  });
}

/// Writes dx before it touches dgain, so that both may be the same array.
template <class T, class G, class C>
void rms_norm_backward(Cpu, const Rows& rows, const T* x, const G* gain, const C* rho, const T* dy,
                       DenseTarget<T> dx, DenseTarget<G> dgain) {
  const Index pieces = chunk_count(rows.size(), rows.width);
  Partials<SumOf, C> partials{pieces, dgain ? rows.width : 0};
  for_each_row(
      rows, pieces, [&](Index piece) { return partials.start(piece); },
      [&](C* sums, Index r) {
        const T* const from = x + r * rows.width;
        const T* const upstream = dy + r * rows.width;
        if (dx) rms_norm_row_backward(rows.width, from, gain, rho[r], upstream, dx.row(r, rows.width));
        if (!dgain) return;
        const Packet<C> scale(rho[r]);
        for_packets<lanes<C>>(0, rows.width, [&]<bool Full>(Index i, Index count) {
          const auto n = load_packet<C, Full>(from + i, count) * scale;
          const auto old = load_packet<C, Full>(sums + i, count);
          store_packet(sums + i, fused_multiply_add(n, load_packet<C, Full>(upstream + i, count), old), count,
                       Full);
        });
      });
  partials.combine([&](Index j, C sum) { dgain.put(j, sum); });
}

}  // namespace burrow::detail
