// Element types: float, double, bf16, the integers and bool; their names, promotion and compute types.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <ostream>
#include <string_view>
#include <type_traits>

namespace burrow {

/// bfloat16: the upper half of a float. Converting from float rounds to nearest, ties to even; arithmetic
/// happens in float.
class bf16 {
 public:
  bf16() = default;
  constexpr bf16(float value) : bits_{round(std::bit_cast<std::uint32_t>(value))} {}
  template <class N>
  requires(std::is_arithmetic_v<N> && !std::same_as<N, float>) constexpr bf16(N value)
      : bf16{static_cast<float>(value)} {}

  constexpr operator float() const { return std::bit_cast<float>(std::uint32_t{bits_} << 16); }

  static constexpr bf16 from_bits(std::uint16_t bits) {
    bf16 value{};
    value.bits_ = bits;
    return value;
  }
  constexpr std::uint16_t bits() const { return bits_; }

 private:
  static constexpr std::uint16_t round(std::uint32_t bits) {
    const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
    const std::uint32_t rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
    return static_cast<std::uint16_t>(is_nan ? (bits >> 16) | 0x40u : rounded >> 16);
  }

  std::uint16_t bits_;
};

inline std::ostream& operator<<(std::ostream& out, bf16 value) { return out << static_cast<float>(value); }

/// True for the element types a tensor can have.
template <class T>
concept Element = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bf16> ||
                  std::same_as<T, bool> ||(std::signed_integral<T> && sizeof(T) >= 4) ||
                  std::same_as<T, std::uint8_t> || std::same_as<T, std::uint16_t>;

/// True for element types that have gradients.
template <class T>
concept Real = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bf16>;

namespace detail {
template <class T>
struct compute_type_of {
  using type = T;
};
template <>
struct compute_type_of<bf16> {
  using type = float;
};

template <class A, class B>
struct promote {
  using type = std::common_type_t<A, B>;
};
template <class A>
struct promote<A, A> {
  using type = A;
};
template <class B>
struct promote<bf16, B> {
  using type = std::conditional_t<std::is_floating_point_v<B>, B, bf16>;
};
template <class A>
struct promote<A, bf16> : promote<bf16, A> {};
template <>
struct promote<bf16, bf16> {
  using type = bf16;
};
// An integer never widens a floating-point tensor (JAX's rule).
template <class A, class B>
requires(std::is_floating_point_v<A>&& std::is_integral_v<B>) struct promote<A, B> {
  using type = A;
};
template <class A, class B>
requires(std::is_integral_v<A>&& std::is_floating_point_v<B>) struct promote<A, B> {
  using type = B;
};
}  // namespace detail

/// The type in which values of T are computed and accumulated: float for bf16, T otherwise.
template <class T>
using compute_type = typename detail::compute_type_of<T>::type;

/// The element type of `a op b`: the wider float; bf16 with float is float; an integer never changes a float
/// type.
template <class A, class B>
using promoted = typename detail::promote<A, B>::type;

/// The name of an element type as messages and files write it.
template <class T>
constexpr std::string_view dtype_name() {
  if constexpr (std::same_as<T, float>) return "float";
  if constexpr (std::same_as<T, double>) return "double";
  if constexpr (std::same_as<T, bf16>) return "bf16";
  if constexpr (std::same_as<T, bool>) return "bool";
  if constexpr (std::same_as<T, std::int32_t>) return "int32";
  if constexpr (std::same_as<T, std::int64_t>) return "int64";
  if constexpr (std::same_as<T, std::uint8_t>) return "uint8";
  if constexpr (std::same_as<T, std::uint16_t>) return "uint16";
  return "";
}

}  // namespace burrow
