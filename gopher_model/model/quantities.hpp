// Counts, bytes and FLOPs as people read them.
#pragma once

#include <cstdio>
#include <string>

#include "gopher_model/model/configuration.hpp"

namespace gopher {

/// A count with its thousands apart: "279,710,317,824".
inline std::string grouped(Index count) {
  std::string text = std::to_string(count);
  const std::size_t first_digit = count < 0 ? 1 : 0;
  for (std::size_t end = text.size(); end > first_digit + 3; end -= 3) text.insert(end - 3, ",");
  return text;
}

/// `value` as printf's `format` writes it; `format` takes one double.
inline std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// Bytes with a binary unit and four digits: "2.544 TiB".
inline std::string binary_bytes(double bytes) {
  const char* const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit < 6; ++unit) bytes /= 1024;
  return formatted("%.4g", bytes) + units[unit];
}

/// FLOPs in units of 1e15, written as the paper does: "6.31E+08 PFLOPs".
inline std::string petaflops(double flops) { return formatted("%.2E", flops / 1e15) + " PFLOPs"; }

}  // namespace gopher
