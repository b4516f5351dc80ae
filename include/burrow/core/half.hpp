// half: IEEE 754 binary16, one sign, five exponent and ten mantissa bits.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <ostream>
#include <type_traits>

namespace burrow {

/// IEEE half precision: about three decimal digits, largest finite value 65504, smallest 2^-24. Converting
/// from float rounds to nearest, ties to even; arithmetic happens in float.
class half {
 public:
  half() = default;
  constexpr half(float value) : bits_{round(value)} {}
  template <class N>
  requires(std::is_arithmetic_v<N> && !std::same_as<N, float>) constexpr half(N value)
      : half{static_cast<float>(value)} {}

  constexpr operator float() const { return widen(bits_); }

  /// The number whose representation is `bits`.
  static constexpr half from_bits(std::uint16_t bits) {
    half value{};
    value.bits_ = bits;
    return value;
  }
  constexpr std::uint16_t bits() const { return bits_; }

 private:
  static constexpr std::uint16_t round(float value) {
#if defined(__CUDA_ARCH__)
    if (!std::is_constant_evaluated()) {
      std::uint16_t rounded;
      asm("cvt.rn.f16.f32 %0, %1;" : "=h"(rounded) : "f"(value));
      return rounded;
    }
#endif
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    std::uint32_t result = 0x7C00;
    if (magnitude > 0x7F800000u) {
      result = 0x7E00u | (magnitude >> 13 & 0x3FFu);  // NaN, made quiet
    } else if (magnitude < 0x38800000u) {             // below 2^-14: adding 1/2 rounds to a multiple of 2^-24
      const float sum = std::bit_cast<float>(magnitude) + 0.5f;
      result = std::bit_cast<std::uint32_t>(sum) - 0x3F000000u;
    } else if (magnitude < 0x47800000u) {  // the exponent moves from bias 127 to bias 15
      result = (magnitude - 0x38000000u + 0xFFFu + (magnitude >> 13 & 1u)) >> 13;
    }
    return static_cast<std::uint16_t>(sign | result);
  }

  static constexpr float widen(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
    if (!std::is_constant_evaluated()) {
      float value;
      asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(static_cast<std::uint16_t>(bits)));
      return value;
    }
#endif
    const std::uint32_t sign = (bits & 0x8000u) << 16, magnitude = (bits & 0x7FFFu) << 13;
    std::uint32_t result = magnitude + 0x38000000u;
    if (magnitude >= 0x0F800000u)
      result = magnitude | 0x7F800000u | (magnitude > 0x0F800000u ? 0x400000u : 0u);
    else if (magnitude < 0x00800000u)  // denormal: (1/2 + magnitude 2^-24) - 1/2
      result = std::bit_cast<std::uint32_t>(std::bit_cast<float>(0x3F000000u + (bits & 0x7FFFu)) - 0.5f);
    return std::bit_cast<float>(sign | result);
  }

  std::uint16_t bits_;
};

inline std::ostream& operator<<(std::ostream& out, half value) { return out << static_cast<float>(value); }

}  // namespace burrow
