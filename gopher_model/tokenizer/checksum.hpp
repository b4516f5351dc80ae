// A checksum for the contents of files.
#pragma once

#include <cstdint>
#include <string_view>

namespace gopher {

/// A 64-bit checksum that any change of one byte or of the length changes; not cryptographic.
/// `seed` chains calls: the checksum of what came before.
std::uint64_t checksum(std::string_view bytes, std::uint64_t seed = 0);

}  // namespace gopher
