// View<T, Shape, Device, Layout>: read access to elements in shared storage. It is the leaf of every
// expression: it owns a handle to the storage, so an expression stays valid whatever happens to the tensor it
// was made from.
#pragma once

#include <array>
#include <span>
#include <utility>

#include <burrow/core/memory.hpp>
#include <burrow/core/misuse.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// Row-major without gaps; strides follow from the extents.
struct Contiguous {
  static constexpr bool unit_inner = true;
};

/// Any strides; UnitInner says that neighbours along the last axis are neighbours in memory.
template <bool UnitInner>
struct Strided {
  static constexpr bool unit_inner = UnitInner;
};

namespace detail {

/// Base of every expression X: the operators that name the line in which they are called, where extents are
/// known at run time (tensor/operators.hpp); else nothing.
template <class X, bool StaticExtents>
struct OperatorsOf;
template <class X>
struct OperatorsOf<X, true> {
  static constexpr bool meets_at_run_time = false;
};

/// What leaves of expressions say of themselves: the elements of T, of shape S on device D, and how they lie.
template <class T, class S, class D, class L>
struct LeafTraits {
  using element = T;
  using shape_type = S;
  using device = D;
  using layout = L;
  static constexpr bool is_expression = true;
  static constexpr bool is_leaf = true;
  static constexpr bool contiguous = std::same_as<L, Contiguous>;
};

}  // namespace detail

/// Elements of shape S that share the storage of a tensor, without gaps or with strides; read-only.
template <class T, class S, class D = Cpu, class L = Contiguous>
class View : public detail::LeafTraits<T, S, D, L>,
             public detail::OperatorsOf<View<T, S, D, L>, S::is_static> {
 public:
  using strides_type = std::array<Index, S::extents.size()>;
  static constexpr bool traced = false;

  View() = default;
  View(Buffer<D> storage, T* data, S shape) requires View::contiguous : storage_{std::move(storage)},
                                                                        data_{data},
                                                                        shape_{shape} {}
  View(Buffer<D> storage, T* data, S shape, strides_type strides) requires(!View::contiguous)
      : storage_{std::move(storage)}, data_{data}, shape_{shape}, strides_{strides} {}

  const T* data() const { return data_; }
  const S& shape() const { return shape_; }
  const Buffer<D>& storage() const& { return storage_; }
  Buffer<D> storage() && { return std::move(storage_); }
  const View& view() const { return *this; }

  /// Distance in elements between neighbours along each axis.
  strides_type strides() const {
    if constexpr (View::contiguous)
      return detail::row_major_strides(shape_.values());
    else
      return strides_;
  }

  /// The same where they do not follow from the extents; else none.
  std::span<const Index> kept_strides() const {
    if constexpr (View::contiguous)
      return {};
    else
      return strides_;
  }

  /// Element at an index for each axis.
  template <std::convertible_to<Index>... I>
  requires(sizeof...(I) == S::extents.size() && detail::on_host<D>) const T& operator()(I... index) const {
    return data_[offset({static_cast<Index>(index)...})];
  }

  template <std::convertible_to<Index>... I>
  requires(sizeof...(I) != S::extents.size()) auto operator()(I...) const
      -> misuse::number_of_indices_differs<S, int{sizeof...(I)}>;
  template <std::convertible_to<Index>... I>
  requires(sizeof...(I) == S::extents.size() && !detail::on_host<D>) auto operator()(I...) const
      -> misuse::elements_are_not_on_the_host<S, D>;

  /// Distance in elements from the first element to that at an index for each axis.
  Index offset(const strides_type& index) const {
    const auto steps = strides();
    Index sum = 0;
    for (std::size_t i = 0; i < steps.size(); ++i) sum += steps[i] * index[i];
    return sum;
  }

 private:
  struct Nothing {};
  Buffer<D> storage_;
  T* data_ = nullptr;
  [[no_unique_address]] S shape_;
  [[no_unique_address]] std::conditional_t<View::contiguous, Nothing, strides_type> strides_{};
};

}  // namespace burrow
