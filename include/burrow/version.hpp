// The version of burrow. CMake reads it from here; there is no second place to change.
#pragma once

#include <string_view>

namespace burrow {

/// "major.minor.patch". Until 1.0, a new minor version may change the interface.
inline constexpr std::string_view version = "0.1.0";

}  // namespace burrow
