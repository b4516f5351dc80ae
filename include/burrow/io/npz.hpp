// NumPy's .npz files: a zip archive with one .npy file to an array. What numpy.savez writes is read, and,
// where zlib is there, what numpy.savez_compressed writes; what is written here is stored.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>
#include <burrow/io/npy.hpp>
#include <burrow/io/zip.hpp>

namespace burrow {

/// An array of an archive. Its bytes stay as long as it or a copy of it; they may not be aligned, so that
/// `copy_values` is the way to read them.
struct NpzArray : NpyArray {
  std::shared_ptr<const void> owner;  ///< of the bytes
};

/// An array to be written under a name; its bytes belong to someone else.
struct NamedArray {
  std::string name;
  NpyArray array;
};

namespace detail {

inline constexpr std::string_view npy_suffix = ".npy";

/// The archive's entries without the suffix of their names. Throws IoError, its message beginning with
/// `name`.
inline std::vector<ZipEntry> npz_entries(std::span<const std::byte> bytes, const std::string& name) {
  auto entries = ZipReader{bytes, name}.entries();
  std::set<std::string_view> seen;
  for (ZipEntry& entry : entries)
    if (entry.name.ends_with(npy_suffix)) entry.name.resize(entry.name.size() - npy_suffix.size());
  for (const ZipEntry& entry : entries)
    if (!seen.insert(entry.name).second) throw IoError(name + ": has two arrays '" + entry.name + "'");
  return entries;
}

/// An entry's array; `owner` keeps the archive's bytes.
inline NpzArray npz_array(const ZipEntry& entry, std::shared_ptr<const void> owner,
                          const std::string& where) {
  auto room = std::make_shared<std::vector<std::byte>>();
  const auto content = zip_content(entry, *room, where);
  NpzArray array{parse_npy(content, where), std::move(owner)};
  if (!room->empty()) array.owner = std::move(room);
  return array;
}

}  // namespace detail

/// An .npz file, mapped; its directory is checked at once, each array when it is asked for.
class NpzFile {
 public:
  /// Throws IoError when the file cannot be read or is not a zip archive.
  explicit NpzFile(const std::filesystem::path& path)
      : file_{std::make_shared<MappedFile>(path)},
        entries_{detail::npz_entries(file_->bytes(), path.string())} {}

  /// The arrays' names, in the file's order.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : entries_) names.push_back(entry.name);
    return names;
  }

  /// The array of that name, checked and, where it is compressed, unpacked. Throws IoError when there is
  /// none, it is damaged or no .npy file, it is compressed and zlib is missing, or the file's size has
  /// changed.
  NpzArray at(std::string_view name) const {
    file_->check_size();
    for (const auto& entry : entries_)
      if (entry.name == name)
        return detail::npz_array(entry, file_, path().string() + ": array '" + entry.name + "'");
    throw IoError(path().string() + ": has no array '" + std::string(name) + "'");
  }

  const std::filesystem::path& path() const { return file_->path(); }

 private:
  std::shared_ptr<const MappedFile> file_;
  std::vector<detail::ZipEntry> entries_;
};

/// Writes an .npz file, atomically and not compressed: the same arrays give the same bytes. Throws ValueError
/// for what `write_npy` does not write, and for names that repeat or are too long; IoError when the system
/// fails.
inline void write_npz(const std::filesystem::path& path, std::span<const NamedArray> arrays,
                      Location where = Location::here()) {
  std::set<std::string_view> names;
  std::vector<std::string> headers;
  for (const NamedArray& named : arrays) {
    if (!names.insert(named.name).second)
      throw ValueError("write_npz: two arrays are named '" + named.name + "'" + at(where));
    if (named.name.empty() || named.name.size() > 1000)
      throw ValueError("write_npz: a name is empty or longer than 1000 bytes" + at(where));
    headers.push_back(detail::npy_header_of(named.array, "write_npz", where));
  }
  write_atomically(path, [&](AtomicFile& file) {
    std::string directory;
    std::uint64_t place = 0;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      const auto bytes = arrays[i].array.bytes;
      const std::uint32_t crc =
          detail::crc32_of(bytes, detail::crc32_of(std::as_bytes(std::span{headers[i]})));
      const detail::ZipRecord record{arrays[i].name + std::string(detail::npy_suffix), crc,
                                     headers[i].size() + bytes.size(), place};
      const std::string local = detail::zip_header(record, false);
      file.write(local);
      file.write(headers[i]);
      file.write(bytes);
      place += local.size() + record.size;
      directory += detail::zip_header(record, true);
    }
    file.write(directory);
    file.write(detail::zip_end_records(arrays.size(), place, directory.size()));
  });
}

}  // namespace burrow
