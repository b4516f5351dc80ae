// Whole files: reading, writing so that a reader never sees half a file, and a checksum for their contents.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gopher {

/// The contents of the file at `path`. Throws IoError when it cannot be opened or read.
std::string read_file(const std::string& path);

/// Writes `parts` one after another to `path`: into a file beside it, synced, then renamed over it. After any
/// failure (IoError) an earlier file at `path` is untouched and nothing is left beside it.
void write_file(const std::string& path, std::span<const std::string_view> parts);

/// A 64-bit checksum that any change of one byte or of the length changes; not cryptographic.
/// `seed` chains calls: the checksum of what came before.
std::uint64_t checksum(std::string_view bytes, std::uint64_t seed = 0);

}  // namespace gopher
