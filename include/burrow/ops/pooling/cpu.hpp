// Pooling of images with channels last on the CPU.
#pragma once

#include <burrow/ops/pooling/extents.hpp>
#include <burrow/ops/rows.hpp>

namespace burrow::detail {

/// Op is MaximumOf, or SumOf for the mean.
template <class Op, class T>
void pool_forward(Cpu, const PoolingExtents& e, const T* x, T* y) {
  using C = compute_type<T>;
  using P = Packet<C>;
  for_each_row({e.batch * e.pixels(), e.channels}, [&](Index r) {
    const T* const image = x + r / e.pixels() * e.image();
    for_packets<lanes<C>>(0, e.channels, [&]<bool Full>(Index k, Index lanes_left) {
      P total(Op::template identity<C>);
      const Index count = for_each_inside(e, r % e.pixels(), [&](Index offset) {
        total = Op::combine(total, load_packet<C, Full>(image + offset + k, lanes_left));
      });
      if constexpr (std::same_as<Op, SumOf>) total = total * P(C(1) / static_cast<C>(count));
      store_packet(y + r * e.channels + k, count > 0 ? total : P(C(0)), lanes_left, Full);
    });
  });
}

/// Adds to the gradient of one item's image what its output pixels give, in their order.
template <class Op, class T, class C>
void pool_item_gradient(const PoolingExtents& e, const T* x, const T* dy, C* image) {
  for (Index pixel = 0; pixel < e.pixels(); ++pixel) {
    const T* const upstream = dy + pixel * e.channels;
    const auto inside = [&](const auto& body) { return for_each_inside(e, pixel, body); };
    if constexpr (std::same_as<Op, SumOf>) {
      const C share = C(1) / static_cast<C>(std::max<Index>(inside([](Index) {}), 1));
      inside([&](Index offset) {
        for (Index k = 0; k < e.channels; ++k) image[offset + k] += static_cast<C>(upstream[k]) * share;
      });
    } else {
      for (Index k = 0; k < e.channels; ++k) {
        Index best = -1;
        inside([&](Index offset) {
          if (best < 0 || static_cast<C>(x[offset + k]) > static_cast<C>(x[best + k])) best = offset;
        });
        if (best >= 0) image[best + k] += static_cast<C>(upstream[k]);
      }
    }
  }
}

template <class Op, class T>
void pool_backward(Cpu, const PoolingExtents& e, const T* x, const T* dy, DenseTarget<T> dx) {
  using C = compute_type<T>;
  parallel_tasks(e.batch, [&](Index item) {
    const Buffer<Cpu> storage{std::max<Index>(e.image(), 1) * Index{sizeof(C)}};
    C* const image = static_cast<C*>(storage.data());
    std::fill_n(image, e.image(), C(0));
    pool_item_gradient<Op>(e, x + item * e.image(), dy + item * e.pixels() * e.channels, image);
    for (Index i = 0; i < e.image(); ++i) dx.put(item * e.image() + i, image[i]);
  });
}

}  // namespace burrow::detail
