// Convolution on a CUDA device: the inputs of some output pixels are laid out as rows, whose product with the
// weights, by cuBLASLt, is those pixels. As many pixels at a time as fit `cuda::patch_bytes`. Each sum has
// one writer and a fixed order.
#pragma once

#include <burrow/core/for_each.cuh>
#include <burrow/ops/convolution/convolution.hpp>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/rows.cuh>

namespace burrow::cuda {

/// Bytes that the inputs of output pixels may take when a convolution lays them out: more pixels at a time
/// make larger products.
inline Index patch_bytes = Index{128} << 20;

}  // namespace burrow::cuda

namespace burrow::detail {

/// The matrices of all groups, which lie `step` elements apart.
template <class T>
MatrixBatch<T> group_matrices(const ConvolutionExtents& e, const Matrix<T>& first, Index step) {
  const std::array<Index, 1> groups{e.groups}, steps{step};
  return MatrixBatch<T>::over(first, groups, steps);
}
/// The channels of each group, of an array that ends in all of them.
template <class T>
MatrixBatch<T> group_channels(const ConvolutionExtents& e, T* data, Index channels) {
  return group_matrices(e, Matrix<T>{data, channels}, channels / e.groups);
}

/// How many output pixels are worked on at once, each of whose inputs and groups takes `bytes`.
inline Index pixels_at_once(const ConvolutionExtents& e, std::size_t bytes) {
  const Index pixel = std::max<Index>(e.groups * e.patch() * static_cast<Index>(bytes), 1);
  return std::clamp<Index>(cuda::patch_bytes / pixel, 1, std::max<Index>(e.pixels(), 1));
}

/// The inputs of `count` output pixels from `first` on: [groups, pixels, taps, channels of a group].
template <class T>
struct GatherPatches {
  ConvolutionExtents e;
  Index first, count;
  const T* x;
  T* patches;

  template <int Each>
  __device__ void operator()(Index row, Index k) const {
    const auto [of_group, tap] = divide(row, e.taps());
    const auto [group, pixel] = divide(of_group, count);
    const auto [item, place] = divide(first + pixel, e.item_pixels());
    const auto [above, left] = divide(place, e.columns.out);
    const auto [r, c] = divide(tap, e.columns.taps);
    const Index i = e.rows.input(above, r), j = e.columns.input(left, c);
    compute_type<T> values[Each] = {};
    if (e.rows.inside(i) && e.columns.inside(j))
      cuda::load_elements(x + ((item * e.rows.in + i) * e.columns.in + j) * e.in + group * e.group_in() + k,
                          values);
    cuda::store_elements(patches + row * e.group_in() + k, values);
  }
};

/// The rows that a convolution multiplies: a pixel's inputs for each, in all groups. Those of a convolution
/// of single pixels are the image; others are laid out in `room`.
template <class T>
MatrixBatch<const T> patches_of(const ConvolutionExtents& e, const T* x, Index first, Index count,
                                const Buffer<Cuda>& room) {
  if (e.pointwise()) return group_channels(e, x + first * e.in, e.in);
  T* const patches = static_cast<T*>(room.data());
  launch_elements_of_rows<T>("convolution", Rows{e.groups * count * e.taps(), e.group_in()},
                             cuda::rows_are_aligned<T>(e.group_in(), x, patches),
                             GatherPatches<T>{e, first, count, x, patches});
  return group_matrices(e, Matrix<const T>{patches, std::max<Index>(e.patch(), 1)}, count * e.patch());
}

/// Calls body(first, count, room) for pieces of all output pixels, at least once.
template <class T, class Body>
void for_pixel_pieces(const ConvolutionExtents& e, const Body& body) {
  const Index at_once = e.pointwise() ? std::max<Index>(e.pixels(), 1) : pixels_at_once(e, sizeof(T));
  const Buffer<Cuda> room{e.pointwise() ? 0 : at_once * e.groups * e.patch() * Index{sizeof(T)}};
  Index first = 0;
  do {
    body(first, std::min(at_once, e.pixels() - first), room);
    first += at_once;
  } while (first < e.pixels());
}

template <class T>
void convolution_forward(Cuda, const ConvolutionExtents& e, const T* x, const T* weight, T* y) {
  for_pixel_pieces<T>(e, [&](Index first, Index count, const Buffer<Cuda>& room) {
    multiply_batch<T>(e.groups, count, e.group_out(), e.patch(), patches_of(e, x, first, count, room),
                      group_channels(e, weight, e.out), false, group_channels(e, y + first * e.out, e.out),
                      static_cast<const T*>(nullptr));
  });
}

/// Sums the gradients of patches, of `count` output pixels from `first` on, into the images from `item` on:
/// a thread to each access of an input, in the order of output pixels. `sums` holds what other pieces of the
/// same image gave; where there is none, all of its pixels are here.
template <class T, class C>
struct ScatterPatches {
  ConvolutionExtents e;
  Index item, first, count;
  const C* patches;
  C* sums;
  bool begins, ends;
  DenseTarget<T> dx;

  template <int Each>
  __device__ void operator()(Index row, Index k) const {
    const auto [place, group] = divide(row, e.groups);
    const auto [above, j] = divide(place, e.columns.in);
    const auto [items, i] = divide(above, e.rows.in);
    const Index origin = (item + items) * e.item_pixels() - first;
    const Index at = row * e.group_in() + k;
    C sum[Each] = {};
    if (!begins) cuda::load_elements(sums + at, sum);
    for (Index r = e.rows.taps; r-- > 0;) {
      const Index y = e.rows.output(i, r);
      if (y < 0) continue;
      for (Index c = e.columns.taps; c-- > 0;) {
        const Index x = e.columns.output(j, c), pixel = origin + y * e.columns.out + x;
        if (x < 0 || pixel < 0 || pixel >= count) continue;
        C values[Each];
        cuda::load_elements(
            patches + (group * count + pixel) * e.patch() + (r * e.columns.taps + c) * e.group_in() + k,
            values);
#pragma unroll
        for (int n = 0; n < Each; ++n) sum[n] += values[n];
      }
    }
    if (ends)
      put_elements(dx, item * e.rows.in * e.columns.in * e.in + at, sum);
    else
      cuda::store_elements(sums + at, sum);
  }
};

/// Pieces of whole images, or parts of one image whose sums wait in compute precision.
template <class T>
void convolution_input_gradient(Cuda, const ConvolutionExtents& e, const T* weight, const T* dy,
                                DenseTarget<T> dx) {
  using C = compute_type<T>;
  const auto taps = group_channels(e, weight, e.out).transposed();
  const auto multiply = [&]<class O>(Index first, Index count, bool accumulate, const MatrixBatch<O>& to) {
    multiply_batch<T>(e.groups, count, e.patch(), e.group_out(), group_channels(e, dy + first * e.out, e.out),
                      taps, accumulate, to, static_cast<const O*>(nullptr));
  };
  if (e.pointwise()) return multiply(0, e.pixels(), dx.accumulate, group_channels(e, dx.data, e.in));
  const Index per_item = e.item_pixels(), image = e.rows.in * e.columns.in * e.in;
  const Index at_once = pixels_at_once(e, sizeof(C)), items = std::max<Index>(at_once / per_item, 1);
  const Index most = std::min(at_once, items * per_item);
  const Buffer<Cuda> room{most * e.groups * e.patch() * Index{sizeof(C)}},
      waiting{most < per_item ? image * Index{sizeof(C)} : 0};
  C* const patches = static_cast<C*>(room.data());
  C* const sums = static_cast<C*>(waiting.data());
  for (Index item = 0; item < e.batch; item += items) {
    const Index here = std::min(items, e.batch - item), begin = item * per_item,
                end = begin + here * per_item;
    for (Index first = begin; first < end; first += most) {
      const Index count = std::min(most, end - first);
      multiply(first, count, false,
               group_matrices(e, Matrix<C>{patches, std::max<Index>(e.patch(), 1)}, count * e.patch()));
      launch_elements_of_rows<T>("convolution gradient",
                                 Rows{here * e.rows.in * e.columns.in * e.groups, e.group_in()},
                                 cuda::rows_are_aligned<T>(e.group_in(), patches, sums, dx.data),
                                 ScatterPatches<T, C>{e, item, first, count, patches, sums, first == begin,
                                                      first + most >= end, dx});
    }
  }
}

/// Summed over the pieces of pixels, in order, in compute precision.
template <class T>
void convolution_weight_gradient(Cuda, const ConvolutionExtents& e, const T* x, const T* dy,
                                 DenseTarget<T> dweight) {
  using C = compute_type<T>;
  constexpr bool direct = std::same_as<T, C>;
  const Index size = e.patch() * e.out;
  const Buffer<Cuda> room{direct ? 0 : size * Index{sizeof(C)}};
  C* sums = static_cast<C*>(room.data());
  if constexpr (direct) sums = dweight.data;
  bool accumulate = direct && dweight.accumulate;
  for_pixel_pieces<T>(e, [&](Index first, Index count, const Buffer<Cuda>& patches) {
    multiply_batch<T>(e.groups, e.patch(), e.group_out(), count,
                      patches_of(e, x, first, count, patches).transposed(),
                      group_channels(e, dy + first * e.out, e.out), accumulate,
                      group_channels(e, sums, e.out), static_cast<const C*>(nullptr));
    accumulate = true;
  });
  if (!direct && size > 0)
    combine_sums<C>("convolution gradient", size, 1, static_cast<const C*>(sums), dweight);
}

}  // namespace burrow::detail
