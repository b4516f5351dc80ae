// Convolution on the CPU: the inputs of some output pixels are laid out as rows of a matrix, whose product
// with the weights is those pixels. Blocks of pixels, so that this matrix stays in the cache.
#pragma once

#include <burrow/ops/convolution/extents.hpp>
#include <burrow/ops/matmul/cpu.hpp>
#include <burrow/ops/rows.hpp>

namespace burrow::cpu::detail {

using burrow::detail::ConvolutionExtents;

/// Pixels in a block; fixed, so that results do not depend on the threads.
inline Index pixels_of_block(const ConvolutionExtents& e) {
  return std::clamp<Index>(65536 / std::max<Index>(e.patch(), 1), 16, 1024);
}

/// An array in compute precision: itself, or a copy.
template <class T>
class Widened {
 public:
  using C = compute_type<T>;
  Widened(const T* from, Index count) : copy_{std::same_as<T, C> ? 0 : count} {
    if constexpr (std::same_as<T, C>) {
      data_ = from;
    } else {
      C* const to = copy_.data();
      parallel_for(count, 8192, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) to[i] = static_cast<C>(from[i]);
      });
      data_ = to;
    }
  }
  const C* data() const { return data_; }

 private:
  Scratch<C> copy_;
  const C* data_;
};

/// Calls body(patch element, offset in the image or -1) for each tap of an output pixel.
template <class Body>
void for_each_tap(const ConvolutionExtents& e, Index pixel, const Body& body) {
  const Index y = pixel / e.columns.out, x = pixel % e.columns.out;
  Index at = 0;
  for (Index r = 0; r < e.rows.taps; ++r)
    for (Index c = 0; c < e.columns.taps; ++c, at += e.group_in()) {
      const Index i = e.rows.input(y, r), j = e.columns.input(x, c);
      body(at, e.rows.inside(i) && e.columns.inside(j) ? (i * e.columns.in + j) * e.in : Index{-1});
    }
}

/// Row r of `patches` becomes the inputs of output pixel first + r in one group.
template <class C, class T>
void gather_patches(const ConvolutionExtents& e, const T* x, Index group, Index first, Index count,
                    C* patches) {
  const Index image = e.rows.in * e.columns.in * e.in, width = e.group_in();
  for (Index r = 0; r < count; ++r) {
    const Index item = (first + r) / e.item_pixels();
    const T* const from = x + item * image + group * width;
    C* const row = patches + r * e.patch();
    for_each_tap(e, (first + r) % e.item_pixels(), [&](Index at, Index offset) {
      for (Index k = 0; k < width; ++k) row[at + k] = offset < 0 ? C(0) : static_cast<C>(from[offset + k]);
    });
  }
}

/// Adds the rows of `patches`, of pixels of one item, to that item's image of one group [rows, columns, in /
/// groups].
template <class C>
void scatter_patches(const ConvolutionExtents& e, const C* patches, Index first, Index count, C* image) {
  const Index width = e.group_in();
  for (Index r = 0; r < count; ++r)
    for_each_tap(e, first + r, [&](Index at, Index offset) {
      if (offset < 0) return;
      C* const to = image + offset / e.groups;
      for (Index k = 0; k < width; ++k) to[k] += patches[r * e.patch() + at + k];
    });
}

}  // namespace burrow::cpu::detail

namespace burrow::detail {

/// y [batch, rows.out, columns.out, out] of images x.
template <class T>
void convolution_forward(Cpu, const ConvolutionExtents& e, const T* x, const T* weight, T* y) {
  using C = compute_type<T>;
  constexpr bool direct = std::same_as<T, C>;
  const cpu::detail::Widened<T> w{weight, e.patch() * e.out};
  const Index block = cpu::detail::pixels_of_block(e), blocks = (e.pixels() + block - 1) / block,
              width = e.group_out();
  parallel_for(blocks * e.groups, 1, [&](Index begin, Index end) {
    const cpu::detail::Scratch<C> patches{block * e.patch()}, sums{direct ? 0 : block * width};
    for (Index task = begin; task < end; ++task) {
      const Index first = task / e.groups * block, group = task % e.groups;
      const Index count = std::min(block, e.pixels() - first);
      T* const to = y + first * e.out + group * width;
      cpu::detail::gather_patches(e, x, group, first, count, patches.data());
      const Matrix<const C> rows{patches.data(), e.patch()}, columns{w.data() + group * width, e.out};
      if constexpr (direct) {
        cpu::multiply_on_thread<C>(count, width, e.patch(), C(1), rows, columns, false, {to, e.out});
      } else {
        cpu::multiply_on_thread<C>(count, width, e.patch(), C(1), rows, columns, false, {sums.data(), width});
        for (Index r = 0; r < count; ++r)
          for (Index k = 0; k < width; ++k) to[r * e.out + k] = static_cast<T>(sums.data()[r * width + k]);
      }
    }
  });
}

/// The gradient of the images: each item and group is summed by one thread, in the order of output pixels.
template <class T>
void convolution_input_gradient(Cpu, const ConvolutionExtents& e, const T* weight, const T* dy,
                                DenseTarget<T> dx) {
  using C = compute_type<T>;
  const cpu::detail::Widened<T> w{weight, e.patch() * e.out}, upstream{dy, e.pixels() * e.out};
  const Index area = e.rows.in * e.columns.in, width = e.group_in();
  const Index block = cpu::detail::pixels_of_block(e);
  parallel_tasks(e.batch * e.groups, [&](Index task) {
    const Index item = task / e.groups, group = task % e.groups;
    const cpu::detail::Scratch<C> patches{block * e.patch()}, image{area * width};
    std::fill_n(image.data(), area * width, C(0));
    for (Index first = 0; first < e.item_pixels(); first += block) {
      const Index count = std::min(block, e.item_pixels() - first);
      const C* const from =
          upstream.data() + (item * e.item_pixels() + first) * e.out + group * e.group_out();
      cpu::multiply<C>(count, e.patch(), e.group_out(), C(1), {from, e.out},
                       {w.data() + group * e.group_out(), e.out, true}, false, {patches.data(), e.patch()});
      cpu::detail::scatter_patches(e, patches.data(), first, count, image.data());
    }
    for (Index i = 0; i < area; ++i)
      for (Index k = 0; k < width; ++k)
        dx.put((item * area + i) * e.in + group * width + k, image.data()[i * width + k]);
  });
}

/// The gradient of the weights: fixed pieces of the pixels, summed in order.
template <class T>
void convolution_weight_gradient(Cpu, const ConvolutionExtents& e, const T* x, const T* dy,
                                 DenseTarget<T> dweight) {
  using C = compute_type<T>;
  const cpu::detail::Widened<T> upstream{dy, e.pixels() * e.out};
  const Index size = e.patch() * e.out, width = e.group_out(), block = cpu::detail::pixels_of_block(e);
  const Index pieces = chunk_count(e.pixels() * e.patch(), size);
  Partials<SumOf, C> partials{pieces, size};
  parallel_tasks(pieces, [&](Index piece) {
    C* const sums = partials.start(piece);
    const cpu::detail::Scratch<C> patches{block * e.patch()};
    const Index last = e.pixels() * (piece + 1) / pieces;
    for (Index first = e.pixels() * piece / pieces; first < last; first += block) {
      const Index count = std::min(block, last - first);
      for (Index group = 0; group < e.groups; ++group) {
        cpu::detail::gather_patches(e, x, group, first, count, patches.data());
        cpu::multiply_on_thread<C>(e.patch(), width, count, C(1), {patches.data(), e.patch(), true},
                                   {upstream.data() + first * e.out + group * width, e.out}, true,
                                   {sums + group * width, e.out});
      }
    }
  });
  partials.combine([&](Index j, C sum) { dweight.put(j, sum); });
}

}  // namespace burrow::detail
