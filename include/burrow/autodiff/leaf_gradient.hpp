// Where the gradient of one leaf of an expression goes during a pullback: straight into its slot, into
// partial sums, or through a dense array into a view with gaps or repetitions.
#pragma once

#include <span>
#include <tuple>

#include <burrow/autodiff/var.hpp>
#include <burrow/tensor/accumulate.hpp>

namespace burrow::detail {

/// Offset of row-major element j of the extents in an array of the given strides.
inline Index strided_offset(Index j, std::span<const Index> extents, std::span<const Index> strides) {
  Index offset = 0;
  for (std::size_t i = extents.size(); i-- > 0;) {
    offset += j % extents[i] * strides[i];
    j /= extents[i];
  }
  return offset;
}

/// Adds the elements of a dense array to the gradient of a leaf that shows some elements repeatedly: one sum
/// for each element of the leaf's memory, in row-major order of the repetitions.
template <class T, class C>
void add_repeated(std::span<const Index> extents, std::span<const Index> strides, T* target,
                  const C* values) {
  using Wide = wide_type<compute_type<T>>;
  constexpr std::size_t most_axes = 16;
  std::array<Index, most_axes> of_one{}, of_all{}, dense{};
  const std::size_t rank = extents.size();
  if (rank > most_axes) throw Error("add_gradient: a broadcast view of more than 16 axes");
  Index elements = 1, repetitions = 1, size = 1;
  for (std::size_t i = rank; i-- > 0; size *= extents[i]) {
    dense[i] = size;
    of_one[i] = strides[i] == 0 ? 1 : extents[i];
    of_all[i] = strides[i] == 0 ? extents[i] : 1;
    elements *= of_one[i];
    repetitions *= of_all[i];
  }
  if (repetitions == 0) return;
  const std::span<const Index> once{of_one.data(), rank}, again{of_all.data(), rank},
      steps{dense.data(), rank};
  constexpr Index block = 256;
  parallel_for((elements + block - 1) / block, std::max<Index>(1, elementwise_grain / (block * repetitions)),
               [&](Index first, Index last) {
                 for (Index b = first; b < last; ++b) {
                   const Index begin = b * block, count = std::min(block, elements - begin);
                   std::array<Index, block> offsets;
                   std::array<Wide, block> sums{};
                   for (Index k = 0; k < count; ++k)
                     offsets[static_cast<std::size_t>(k)] = strided_offset(begin + k, once, steps);
                   for (Index r = 0; r < repetitions; ++r) {
                     const C* const from = values + strided_offset(r, again, steps);
                     for (Index k = 0; k < count; ++k)
                       sums[static_cast<std::size_t>(k)] +=
                           static_cast<Wide>(from[offsets[static_cast<std::size_t>(k)]]);
                   }
                   for (Index k = 0; k < count; ++k) {
                     T& to = target[strided_offset(begin + k, once, strides)];
                     to = static_cast<T>(static_cast<compute_type<T>>(static_cast<Wide>(to) +
                                                                      sums[static_cast<std::size_t>(k)]));
                   }
                 }
               });
}

/// Adds element j of a dense array to a leaf's gradient for every j.
template <class T, class C>
void add_strided(Cpu, std::span<const Index> extents, std::span<const Index> strides, T* target,
                 bool accumulate, const C* values) {
  if (repeats_elements(extents, strides)) return add_repeated(extents, strides, target, values);
  Index size = 1;
  bool dense = true;
  for (std::size_t i = extents.size(); i-- > 0; size *= extents[i])
    dense = dense && (extents[i] == 1 || strides[i] == size);
  parallel_for(size, elementwise_grain, [&](Index begin, Index end) {
    for (Index j = begin; j < end; ++j) {
      T& to = target[dense ? j : strided_offset(j, extents, strides)];
      const auto value = static_cast<compute_type<T>>(values[j]);
      to = static_cast<T>(accumulate ? static_cast<compute_type<T>>(to) + value : value);
    }
  });
}
template <class D, class S, class T, class C, std::size_t Rank>
void add_strided(D device, const S& shape, const GradientTarget<T, Rank>& target, const C* values) {
  add_strided<T, C>(device, shape.values(), target.strides, target.data, target.accumulate, values);
}

/// The gradient of a leaf during a pullback, without the leaf's type.
template <class T>
class LeafGradient {
  using C = compute_type<T>;

 public:
  /// For `extents` from `offset` of a slot on. `strides` is empty for a leaf without gaps. `sums` says that
  /// the loop sums into the leaf's elements, in `chunks` arrays.
  [[gnu::noinline]] LeafGradient(Tape& tape, int slot, Index offset, std::span<const Index> extents,
                                 std::span<const Index> strides, bool sums, Index chunks)
      : tape_{tape}, slot_{slot}, offset_{offset}, extents_{extents}, strides_{strides} {
    if (!tape.wanted(slot)) return;
    for (const Index extent : extents) size_ *= extent;
    whole_ = strides.empty() && tape.slot_size(slot) == size_;
    if (whole_ && (!sums || (chunks == 1 && std::same_as<T, C>)))
      std::tie(data_, accumulate_) = tape.gradient_data<T>(slot, offset, size_);
    if (sums) {
      if constexpr (std::same_as<T, C>)
        if (data_ != nullptr && !accumulate_) {
          partials_ = {data_, size_};
          return;
        }
      partials_ = {chunks, size_};
    } else if (!whole_) {
      dense_ = Buffer<Cpu>{size_ * Index{sizeof(T)}};
      data_ = static_cast<T*>(dense_.data());
    }
  }

  T* data() const { return data_; }
  bool accumulates() const { return accumulate_; }
  Partial<SumOf, C> partial(Index chunk) {
    return partials_.chunks() > 0 ? partials_.partial(chunk) : Partial<SumOf, C>{nullptr, 0, nullptr};
  }

  /// Adds what lies beside the gradient to it.
  [[gnu::noinline]] void finish() {
    if (partials_.chunks() == 0) {
      if (dense_) add_dense(static_cast<const T*>(data_));
    } else if (whole_) {
      if (data_ != nullptr && !accumulate_ && partials_.settled()) return;
      if (data_ == nullptr) std::tie(data_, accumulate_) = tape_.gradient_data<T>(slot_, offset_, size_);
      partials_.combine([to = data_, accumulate = accumulate_](Index j, C value) {
        to[j] = static_cast<T>(accumulate ? static_cast<C>(to[j]) + value : value);
      });
    } else {
      const Buffer<Cpu> total{size_ * Index{sizeof(C)}};
      C* const to = static_cast<C*>(total.data());
      partials_.combine([to](Index j, C value) { to[j] = value; });
      add_dense(static_cast<const C*>(to));
    }
  }

 private:
  template <class U>
  void add_dense(const U* values) {
    constexpr std::size_t most_axes = 16;
    std::array<Index, most_axes> row_major{};
    std::span<const Index> strides = strides_;
    if (strides.empty()) {
      if (extents_.size() > most_axes) throw Error("add_gradient: more than 16 axes");
      Index step = 1;
      for (std::size_t i = extents_.size(); i-- > 0; step *= extents_[i]) row_major[i] = step;
      strides = {row_major.data(), extents_.size()};
    }
    const bool once = !repeats_elements(extents_, strides);
    const auto [to, accumulate] = tape_.gradient_data<T>(slot_, offset_, once ? size_ : 0);
    add_strided<T, U>(Cpu{}, extents_, strides, to, accumulate, values);
  }

  Tape& tape_;
  int slot_;
  Index offset_, size_ = 1;
  std::span<const Index> extents_, strides_;
  bool whole_ = false, accumulate_ = false;
  T* data_ = nullptr;
  Buffer<Cpu> dense_;
  Partials<SumOf, C> partials_;
};

}  // namespace burrow::detail
