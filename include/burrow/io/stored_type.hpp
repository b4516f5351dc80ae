// The element types that files hold, and typed access to a file's bytes.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <burrow/core/dtype.hpp>
#include <burrow/core/error.hpp>

namespace burrow {

/// An element type as files know it.
enum class StoredType : std::uint8_t { f64, f32, f16, bf16, i64, i32, u16, u8, boolean };

/// Bytes of one element.
constexpr std::size_t byte_size(StoredType type) {
  switch (type) {
    case StoredType::f64:
    case StoredType::i64:
      return 8;
    case StoredType::f32:
    case StoredType::i32:
      return 4;
    case StoredType::f16:
    case StoredType::bf16:
    case StoredType::u16:
      return 2;
    case StoredType::u8:
    case StoredType::boolean:
      break;
  }
  return 1;
}

/// The name in messages, as dtype_name gives it.
constexpr std::string_view type_name(StoredType type) {
  switch (type) {
    case StoredType::f64:
      return dtype_name<double>();
    case StoredType::f32:
      return dtype_name<float>();
    case StoredType::f16:
      return dtype_name<half>();
    case StoredType::bf16:
      return dtype_name<burrow::bf16>();
    case StoredType::i64:
      return dtype_name<std::int64_t>();
    case StoredType::i32:
      return dtype_name<std::int32_t>();
    case StoredType::u16:
      return dtype_name<std::uint16_t>();
    case StoredType::u8:
      return dtype_name<std::uint8_t>();
    case StoredType::boolean:
      break;
  }
  return dtype_name<bool>();
}

namespace detail {
template <Element T>
constexpr StoredType stored_type_of() {
  if constexpr (std::same_as<T, double>) return StoredType::f64;
  if constexpr (std::same_as<T, float>) return StoredType::f32;
  if constexpr (std::same_as<T, half>) return StoredType::f16;
  if constexpr (std::same_as<T, burrow::bf16>) return StoredType::bf16;
  if constexpr (std::same_as<T, std::uint16_t>) return StoredType::u16;
  if constexpr (std::same_as<T, std::uint8_t>) return StoredType::u8;
  if constexpr (std::same_as<T, bool>) return StoredType::boolean;
  if constexpr (std::signed_integral<T>) return sizeof(T) == 8 ? StoredType::i64 : StoredType::i32;
}
}  // namespace detail

/// The stored type of element type T.
template <Element T>
inline constexpr StoredType stored_type = detail::stored_type_of<T>();

/// Bytes of a tensor of that shape; nothing when an extent is negative or the product overflows.
inline std::optional<std::size_t> byte_size(StoredType type, std::span<const std::int64_t> shape) {
  std::int64_t size = static_cast<std::int64_t>(byte_size(type));
  bool empty = false;
  for (const std::int64_t extent : shape) {
    if (extent < 0) return {};
    empty |= extent == 0;
    if (extent != 0 && __builtin_mul_overflow(size, extent, &size)) return {};
  }
  return empty ? 0 : static_cast<std::size_t>(size);
}

namespace detail {
template <Element T>
void check_values(std::span<const std::byte> bytes, StoredType type, const std::string& where) {
  if (type != stored_type<T>)
    throw IoError(where + ": holds " + std::string(type_name(type)) + ", expected " +
                  std::string(dtype_name<T>()));
  if constexpr (std::same_as<T, bool>)
    for (const std::byte value : bytes)
      if (value > std::byte{1}) throw IoError(where + ": holds a bool that is neither 0 nor 1");
}
}  // namespace detail

/// The bytes as values of T, without copying. Throws IoError, its message starting with `where`, when they
/// are of another type, not aligned for T, or not bools where T is bool.
template <Element T>
std::span<const T> values_of(std::span<const std::byte> bytes, StoredType type, const std::string& where) {
  detail::check_values<T>(bytes, type, where);
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(T) != 0)
    throw IoError(where + ": its values are not aligned in the file; copy them instead");
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

/// Copies the bytes into `values`. Throws IoError, its message starting with `where`, when they are of
/// another type, of another number, or not bools where T is bool.
template <Element T>
void copy_values(std::span<const std::byte> bytes, StoredType type, std::span<T> values,
                 const std::string& where) {
  detail::check_values<T>(bytes, type, where);
  if (bytes.size() != values.size_bytes())
    throw IoError(where + ": holds " + std::to_string(bytes.size() / sizeof(T)) + " values, expected " +
                  std::to_string(values.size()));
  if (!bytes.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
}

}  // namespace burrow
