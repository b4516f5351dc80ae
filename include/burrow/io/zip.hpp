// Zip archives, as far as .npz files need them: stored entries are read and written, deflated ones are read
// where zlib is there (BURROW_WITH_ZLIB). Nothing in an archive is believed before it is checked.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <burrow/core/error.hpp>

#if defined(BURROW_WITH_ZLIB)
#include <zlib.h>
#endif

namespace burrow::detail {

inline constexpr std::uint32_t zip_local = 0x04034b50, zip_central = 0x02014b50, zip_end = 0x06054b50,
                               zip_end64 = 0x06064b50, zip_end64_locator = 0x07064b50;
inline constexpr std::uint32_t zip_in_extra32 = 0xFFFFFFFF;
inline constexpr std::uint16_t zip_stored = 0, zip_deflated = 8;

/// The check value of zip, gzip and PNG (ISO 3309), of bytes that follow those with the value `before`.
inline std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before = 0) {
  static constexpr auto tables = [] {
    std::array<std::array<std::uint32_t, 256>, 8> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = c % 2 == 1 ? 0xEDB88320u ^ c / 2 : c / 2;
      t[0][i] = c;
    }
    for (std::size_t k = 1; k < 8; ++k)
      for (std::size_t i = 0; i < 256; ++i) t[k][i] = t[0][t[k - 1][i] & 0xFF] ^ t[k - 1][i] >> 8;
    return t;
  }();
  std::uint32_t crc = ~before;
  const auto byte_at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint32_t next = 0;
    for (std::size_t k = 0; k < 8; ++k) {
      const std::uint32_t mixed = byte_at(i + k) ^ (k < 4 ? crc >> 8 * k & 0xFF : 0u);
      next ^= tables[7 - k][mixed];
    }
    crc = next;
  }
  for (; i < bytes.size(); ++i) crc = tables[0][(crc ^ byte_at(i)) & 0xFF] ^ crc >> 8;
  return ~crc;
}

/// An entry of an archive; `stored` lies in the archive's bytes.
struct ZipEntry {
  std::string name;
  std::uint16_t flags, method;
  std::uint32_t crc;
  std::uint64_t size;
  std::span<const std::byte> stored;
};

/// Reads an archive's directory; every function throws IoError, its message beginning with `name`.
class ZipReader {
 public:
  ZipReader(std::span<const std::byte> bytes, const std::string& name) : bytes_{bytes}, name_{name} {}

  /// All entries, in the directory's order.
  std::vector<ZipEntry> entries() const {
    auto [count, at, size] = directory();
    const std::size_t end = at + size;
    std::vector<ZipEntry> entries;
    std::vector<std::pair<std::size_t, std::size_t>> taken{{at, end}};
    for (; count > 0; --count) {
      need(at, 46, end);
      if (u32(at) != zip_central) fail("an entry of its directory is damaged");
      const std::size_t name_size = u16(at + 28), extra_size = u16(at + 30), comment_size = u16(at + 32);
      need(at, 46 + name_size + extra_size + comment_size, end);
      entries.push_back(entry(at, name_size, extra_size, taken));
      at += 46 + name_size + extra_size + comment_size;
    }
    if (at != end) fail("its directory is longer than its entries");
    check_apart(taken);
    return entries;
  }

 private:
  struct Directory {
    std::uint64_t count;
    std::size_t begin, size;
  };

  [[noreturn]] void fail(const std::string& why) const {
    throw IoError(name_ + ": not a zip archive: " + why);
  }

  std::uint64_t number(std::size_t at, std::size_t width) const {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < width; ++i) value |= std::to_integer<std::uint64_t>(bytes_[at + i]) << 8 * i;
    return value;
  }
  std::uint16_t u16(std::size_t at) const { return static_cast<std::uint16_t>(number(at, 2)); }
  std::uint32_t u32(std::size_t at) const { return static_cast<std::uint32_t>(number(at, 4)); }
  std::string_view text(std::size_t at, std::size_t size) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + at, size};
  }
  /// `size` bytes from `at` on lie before `end`, which lies in the archive.
  void need(std::uint64_t at, std::uint64_t size, std::uint64_t end) const {
    if (at > end || size > end - at) fail("a part of it lies outside of it");
  }

  Directory directory() const {
    constexpr std::size_t end_size = 22, longest_comment = 0xFFFF;
    if (bytes_.size() < end_size) fail("it has " + std::to_string(bytes_.size()) + " bytes");
    const std::size_t last = bytes_.size() - end_size;
    std::size_t at = last;
    while (u32(at) != zip_end || u16(at + 20) != last - at) {
      if (at == 0 || last - at >= longest_comment) fail("it has no end record; is it whole?");
      --at;
    }
    std::uint64_t disk = u16(at + 4), count = u16(at + 10), size = u32(at + 12), begin = u32(at + 16);
    std::size_t end = at;
    if (count == 0xFFFF || size == zip_in_extra32 || begin == zip_in_extra32) {
      if (at < 20 || u32(at - 20) != zip_end64_locator) fail("it lacks the record of its size");
      const std::uint64_t place = number(at - 12, 8);
      need(place, 56, at - 20);
      end = static_cast<std::size_t>(place);
      if (u32(end) != zip_end64) fail("it lacks the record of its size");
      disk = u32(end + 16);
      count = number(end + 32, 8);
      size = number(end + 40, 8);
      begin = number(end + 48, 8);
    }
    if (disk != 0) fail("it is a part of several");
    need(begin, size, end);
    return {count, static_cast<std::size_t>(begin), static_cast<std::size_t>(size)};
  }

  ZipEntry entry(std::size_t at, std::size_t name_size, std::size_t extra_size,
                 std::vector<std::pair<std::size_t, std::size_t>>& taken) const {
    ZipEntry entry{std::string(text(at + 46, name_size)), u16(at + 8), u16(at + 10), u32(at + 16), 0, {}};
    std::uint64_t packed = u32(at + 20), size = u32(at + 24), place = u32(at + 42);
    widen(at + 46 + name_size, extra_size, {&size, &packed, &place});
    const std::size_t end = taken[0].first;
    need(place, 30, end);
    const auto local = static_cast<std::size_t>(place);
    if (u32(local) != zip_local) fail("the entry '" + entry.name + "' is not where the directory says");
    const std::size_t header = std::size_t{30} + u16(local + 26) + u16(local + 28);
    need(local, header, end);
    need(local + header, packed, end);
    if (text(local + 30, u16(local + 26)) != entry.name)
      fail("the entry '" + entry.name + "' has another name than in the directory");
    entry.size = size;
    entry.stored = bytes_.subspan(local + header, static_cast<std::size_t>(packed));
    taken.emplace_back(local, local + header + static_cast<std::size_t>(packed));
    return entry;
  }

  /// Replaces the numbers that did not fit into 32 bits by those of the extra field.
  void widen(std::size_t at, std::size_t extra_size, std::array<std::uint64_t*, 3> numbers) const {
    const std::size_t end = at + extra_size;
    while (end - at >= 4) {
      const std::size_t size = u16(at + 2);
      need(at, 4 + size, end);
      if (u16(at) == 1) {
        std::size_t from = at + 4;
        for (std::uint64_t* const value : numbers) {
          if (*value != zip_in_extra32) continue;
          need(from, 8, at + 4 + size);
          *value = number(from, 8);
          from += 8;
        }
      }
      at += 4 + size;
    }
  }

  void check_apart(std::vector<std::pair<std::size_t, std::size_t>>& taken) const {
    std::sort(taken.begin(), taken.end());
    for (std::size_t i = 1; i < taken.size(); ++i)
      if (taken[i].first < taken[i - 1].second) fail("two of its parts overlap");
  }

  std::span<const std::byte> bytes_;
  const std::string& name_;
};

#if defined(BURROW_WITH_ZLIB)
/// Unpacks deflated bytes into exactly `content`; false where they are damaged or of another size.
inline bool inflate_all(std::span<const std::byte> packed, std::span<std::byte> content) {
  constexpr std::size_t step = std::size_t{1} << 30;  // zlib counts in 32 bits
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
  std::byte beyond{};
  int result = Z_OK;
  while (result == Z_OK) {
    const std::size_t in = std::min(packed.size(), step), out = std::min(content.size(), step);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
    stream.avail_in = static_cast<uInt>(in);
    stream.next_out = reinterpret_cast<Bytef*>(out > 0 ? content.data() : &beyond);
    stream.avail_out = static_cast<uInt>(out > 0 ? out : 1);
    const bool full = out == 0;
    result = ::inflate(&stream, Z_NO_FLUSH);
    if (full && stream.avail_out == 0) result = Z_DATA_ERROR;  // more than was announced
    packed = packed.subspan(in - stream.avail_in);
    if (!full) content = content.subspan(out - stream.avail_out);
    if (result == Z_OK && packed.empty() && stream.avail_out > 0) break;
  }
  inflateEnd(&stream);
  return result == Z_STREAM_END && packed.empty() && content.empty();
}
#endif

/// The bytes of an entry: those in the archive, or, for a deflated one, unpacked into `room`. Throws IoError,
/// its message beginning with `where`.
inline std::span<const std::byte> zip_content(const ZipEntry& entry, std::vector<std::byte>& room,
                                              const std::string& where) {
  if (entry.flags % 2 == 1) throw IoError(where + ": is encrypted");
  std::span<const std::byte> content = entry.stored;
  if (entry.method == zip_deflated) {
#if defined(BURROW_WITH_ZLIB)
    constexpr std::uint64_t most_from_one = 1032;  // the most that one deflated byte can give
    if (entry.size > most_from_one * (entry.stored.size() + 1))
      throw IoError(where + ": is damaged: its size cannot be that of so few packed bytes");
    room.resize(static_cast<std::size_t>(entry.size));
    if (!inflate_all(entry.stored, room)) throw IoError(where + ": is damaged: it cannot be unpacked");
    content = room;
#else
    static_cast<void>(room);
    throw IoError(where +
                  ": is compressed, and this program is built without zlib; link burrow::zlib, or "
                  "write the file with numpy.savez");
#endif
  } else if (entry.method != zip_stored) {
    throw IoError(where + ": is compressed by method " + std::to_string(entry.method) +
                  "; burrow reads stored and deflated arrays");
  }
  if (content.size() != entry.size)
    throw IoError(where + ": is damaged: it has " + std::to_string(content.size()) + " bytes, not " +
                  std::to_string(entry.size));
  if (crc32_of(content) != entry.crc) throw IoError(where + ": is damaged: its check value is another");
  return content;
}

/// What an archive says of one stored entry: its header, or its line in the directory.
struct ZipRecord {
  std::string name;
  std::uint32_t crc;
  std::uint64_t size, place;
};

inline void append_number(std::string& text, std::uint64_t value, int width) {
  for (int i = 0; i < width; ++i) text += static_cast<char>(value >> 8 * i & 0xFF);
}

/// A local header, or with `in_directory` a line of the directory. Numbers of `limit` or more go to the extra
/// field of 64 bits.
inline std::string zip_header(const ZipRecord& record, bool in_directory,
                              std::uint64_t limit = zip_in_extra32) {
  const bool wide = record.size >= limit, far = in_directory && record.place >= limit;
  std::string extra, text;
  if (wide || far) {
    append_number(extra, 1, 2);
    append_number(extra, (wide ? 16u : 0u) + (far ? 8u : 0u), 2);
    if (wide) append_number(extra, record.size, 8);
    if (wide) append_number(extra, record.size, 8);
    if (far) append_number(extra, record.place, 8);
  }
  append_number(text, in_directory ? zip_central : zip_local, 4);
  if (in_directory) append_number(text, 45, 2);
  append_number(text, wide || far ? 45 : 20, 2);
  append_number(text, 0x0800, 2);  // names are UTF-8
  append_number(text, zip_stored, 2);
  append_number(text, 0x00210000, 4);  // 1 January 1980: the same arrays give the same file
  append_number(text, record.crc, 4);
  for (int i = 0; i < 2; ++i) append_number(text, wide ? zip_in_extra32 : record.size, 4);
  append_number(text, record.name.size(), 2);
  append_number(text, extra.size(), 2);
  if (in_directory) {
    text.append(10, '\0');  // no comment, first disk, no attributes
    append_number(text, far ? zip_in_extra32 : record.place, 4);
  }
  return text + record.name + extra;
}

/// The records that end an archive whose directory of `count` lines takes `size` bytes from `begin` on.
inline std::string zip_end_records(std::uint64_t count, std::uint64_t begin, std::uint64_t size,
                                   std::uint64_t limit = zip_in_extra32) {
  std::string text;
  const bool wide = count >= std::min<std::uint64_t>(limit, 0xFFFF) || begin >= limit || size >= limit;
  if (wide) {
    append_number(text, zip_end64, 4);
    append_number(text, 44, 8);
    append_number(text, 45, 2);
    append_number(text, 45, 2);
    append_number(text, 0, 8);
    for (const std::uint64_t value : {count, count, size, begin}) append_number(text, value, 8);
    append_number(text, zip_end64_locator, 4);
    append_number(text, 0, 4);
    append_number(text, begin + size, 8);
    append_number(text, 1, 4);
  }
  append_number(text, zip_end, 4);
  append_number(text, 0, 4);
  for (int i = 0; i < 2; ++i) append_number(text, wide ? 0xFFFF : count, 2);
  append_number(text, wide ? zip_in_extra32 : size, 4);
  append_number(text, wide ? zip_in_extra32 : begin, 4);
  append_number(text, 0, 2);
  return text;
}

}  // namespace burrow::detail
