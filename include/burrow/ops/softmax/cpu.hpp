// Softmax and log-softmax of rows on the CPU.
#pragma once

#include <burrow/ops/rows.hpp>

namespace burrow::detail {

/// log(sum(exp(row))) in two parts, so that large values lose no digits: maximum + log_sum.
template <class C>
struct LogSumExp {
  C maximum;
  C log_sum;
};

template <class C, class T>
LogSumExp<C> row_log_sum_exp(const T* x, Index width) {
  const C maximum = row_max<C>(x, width);
  const C sum = row_sum<C>(width, [x, maximum]<bool Full>(Index i, Index count) {
    return exp(load_packet<C, Full>(x + i, count) - Packet<C>(maximum));
  });
  return {maximum, number::log(sum)};
}

template <class T>
void softmax_forward(Cpu, const Rows& rows, const T* x, T* y) {
  using C = compute_type<T>;
  constexpr bool keeps_weights = std::same_as<T, C>;  // narrower elements would round the weights twice
  for_each_row(rows, [&](Index r) {
    const T* const from = x + r * rows.width;
    T* const to = y + r * rows.width;
    const Packet<C> maximum(row_max<C>(from, rows.width));
    const auto weight = [&]<bool Full>(Index i, Index count) {
      return exp(load_packet<C, Full>(from + i, count) - maximum);
    };
    const C sum = row_sum<C>(rows.width, [&]<bool Full>(Index i, Index count) {
      const auto w = weight.template operator()<Full>(i, count);
      if constexpr (keeps_weights) store_packet(to + i, w, count, Full);
      return w;
    });
    const Packet<C> share(C(1) / sum);
    for_packets<lanes<C>>(0, rows.width, [&]<bool Full>(Index i, Index count) {
      if constexpr (keeps_weights)
        store_packet(to + i, load_packet<C, Full>(to + i, count) * share, count, Full);
      else
        store_packet(to + i, weight.template operator()<Full>(i, count) * share, count, Full);
    });
  });
}

template <class T>
void softmax_backward(Cpu, const Rows& rows, const T* y, const T* dy, DenseTarget<T> dx) {
  using C = compute_type<T>;
  for_each_row(rows, [&](Index r) {
    const T* const value = y + r * rows.width;
    const T* const upstream = dy + r * rows.width;
    const auto to = dx.row(r, rows.width);
    const Packet<C> dot(row_sum<C>(rows.width, [&]<bool Full>(Index i, Index count) {
      return load_packet<C, Full>(value + i, count) * load_packet<C, Full>(upstream + i, count);
    }));
    for_packets<lanes<C>>(0, rows.width, [&]<bool Full>(Index i, Index count) {
      to.template put<Full>(
          i, load_packet<C, Full>(value + i, count) * (load_packet<C, Full>(upstream + i, count) - dot),
          count);
    });
  });
}

/// Also writes the log-sum-exp of each row.
template <class T, class C>
void log_softmax_forward(Cpu, const Rows& rows, const T* x, T* y, LogSumExp<C>* normalizers) {
  for_each_row(rows, [&](Index r) {
    const T* const from = x + r * rows.width;
    T* const to = y + r * rows.width;
    normalizers[r] = row_log_sum_exp<C>(from, rows.width);
    const Packet<C> maximum(normalizers[r].maximum), log_sum(normalizers[r].log_sum);
    for_packets<lanes<C>>(0, rows.width, [&]<bool Full>(Index i, Index count) {
      store_packet(to + i, load_packet<C, Full>(from + i, count) - maximum - log_sum, count, Full);
    });
  });
}

template <class T, class C>
void log_softmax_backward(Cpu, const Rows& rows, const T* x, const LogSumExp<C>* normalizers, const T* dy,
                          DenseTarget<T> dx) {
  for_each_row(rows, [&](Index r) {
    const T* const from = x + r * rows.width;
    const T* const upstream = dy + r * rows.width;
    const auto to = dx.row(r, rows.width);
    const Packet<C> maximum(normalizers[r].maximum), log_sum(normalizers[r].log_sum);
    const Packet<C> total(row_sum<C>(rows.width, [&]<bool Full>(Index i, Index count) {
      return load_packet<C, Full>(upstream + i, count);
    }));
    for_packets<lanes<C>>(0, rows.width, [&]<bool Full>(Index i, Index count) {
      const auto probability = exp(load_packet<C, Full>(from + i, count) - maximum - log_sum);
      to.template put<Full>(i, load_packet<C, Full>(upstream + i, count) - probability * total, count);
    });
  });
}

}  // namespace burrow::detail
