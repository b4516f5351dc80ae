// Element types: float, double, half, bf16, the integers and bool; their names, promotion and compute types.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <ostream>
#include <string_view>
#include <type_traits>

#include <burrow/core/half.hpp>

namespace burrow {

/// bfloat16: the upper half of a float. Converting from float rounds to nearest, ties to even; arithmetic
/// happens in float. Every NaN becomes a NaN, but not with the same bits on every device.
class bf16 {
 public:
  bf16() = default;
  constexpr bf16(float value) : bits_{round(value)} {}
  template <class N>
  requires(std::is_arithmetic_v<N> && !std::same_as<N, float>) constexpr bf16(N value)
      : bf16{static_cast<float>(value)} {}

  constexpr operator float() const { return std::bit_cast<float>(std::uint32_t{bits_} << 16); }

  /// The number whose representation is `bits`.
  static constexpr bf16 from_bits(std::uint16_t bits) {
    bf16 value{};
    value.bits_ = bits;
    return value;
  }
  constexpr std::uint16_t bits() const { return bits_; }

 private:
  static constexpr std::uint16_t round(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    if (!std::is_constant_evaluated()) {  // one instruction in place of eight
      std::uint16_t rounded;
      asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded) : "f"(value));
      return rounded;
    }
#endif
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    const std::uint32_t rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
    return static_cast<std::uint16_t>(is_nan ? (bits >> 16) | 0x40u : rounded >> 16);
  }

  std::uint16_t bits_;
};

inline std::ostream& operator<<(std::ostream& out, bf16 value) { return out << static_cast<float>(value); }

template <class T>
struct DualNumber;

namespace detail {
template <class T>
inline constexpr bool is_dual = false;
template <class T>
inline constexpr bool is_dual<DualNumber<T>> = true;
}  // namespace detail

/// True for the floating-point types of 16 bits, which are computed in float.
template <class T>
concept Narrow = std::same_as<T, bf16> || std::same_as<T, half>;

/// True for element types that have gradients. DualNumber, for forward mode, stands in core/dual_number.hpp.
template <class T>
concept Real = std::same_as<T, float> || std::same_as<T, double> || Narrow<T> || detail::is_dual<T>;

/// True for the element types a tensor can have.
template <class T>
concept Element = Real<T> || std::same_as<T, bool> ||(std::signed_integral<T> && sizeof(T) >= 4) ||
                  std::same_as<T, std::uint8_t> || std::same_as<T, std::uint16_t>;

/// True for what may stand beside a tensor as a number.
template <class T>
concept Number = std::is_arithmetic_v<T> || detail::is_dual<T>;

namespace detail {
template <class T>
struct compute_type_of {
  using type = T;
};
template <Narrow T>
struct compute_type_of<T> {
  using type = float;
};

// bool yields to all, an integer to every floating-point type (JAX's rule), otherwise the wider type wins;
// of two that are equally wide, half and bf16 meet in float.
template <class A, class B>
struct promote {
  static constexpr bool same_kind = std::is_integral_v<A> == std::is_integral_v<B>;
  using wider = std::conditional_t<(sizeof(A) > sizeof(B)), A, B>;
  using type = std::conditional_t<
      std::same_as<A, bool>, B,
      std::conditional_t<std::same_as<B, bool>, A,
                         std::conditional_t<!same_kind, std::conditional_t<std::is_integral_v<A>, B, A>,
                                            std::conditional_t<Narrow<A> && Narrow<B>, float, wider>>>>;
};
template <class A>
struct promote<A, A> {
  using type = A;
};
}  // namespace detail

/// The type in which values of T are computed and accumulated: float for half and bf16, T otherwise.
template <class T>
using compute_type = typename detail::compute_type_of<T>::type;

/// The element type of `a op b`: the wider type of a kind, half with bf16 float, and never another
/// floating-point type on account of an integer or a bool. The whole table stands in docs/guide/dtypes.md.
template <class A, class B>
using promoted = typename detail::promote<A, B>::type;

/// The element type of functions that leave the integers, such as `exp` or `/`: float for integers and bool.
template <class T>
using floating = std::conditional_t<std::is_integral_v<T>, float, T>;

/// The name of an element type as messages and files write it.
template <class T>
constexpr std::string_view dtype_name() {
  if constexpr (std::same_as<T, float>) return "float";
  if constexpr (std::same_as<T, double>) return "double";
  if constexpr (std::same_as<T, half>) return "half";
  if constexpr (std::same_as<T, bf16>) return "bf16";
  if constexpr (std::same_as<T, bool>) return "bool";
  if constexpr (std::signed_integral<T>) return sizeof(T) == 8 ? "int64" : "int32";
  if constexpr (std::same_as<T, std::uint8_t>) return "uint8";
  if constexpr (std::same_as<T, std::uint16_t>) return "uint16";
  if constexpr (detail::is_dual<T>) return std::same_as<T, DualNumber<float>> ? "dual float" : "dual double";
  return "";
}

}  // namespace burrow
