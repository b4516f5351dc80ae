// Compressed texts: gzip (zlib) and Zstandard (libzstd), recognised and unpacked.
#pragma once

#include <string>
#include <string_view>

namespace gopher {

enum class Compression { none, gzip, zstandard };

/// What the first bytes of `bytes` say.
Compression compression_of(std::string_view bytes);

/// What the end of a file's name says: ".gz" or ".zst".
Compression compression_of_name(std::string_view name);

/// The bytes that were compressed, all members or frames one after another. Throws IoError "<name> is damaged
/// at byte ..." for what is not sound, is cut, or has something else after its end.
std::string unpacked(std::string_view bytes, Compression compression, const std::string& name);

}  // namespace gopher
