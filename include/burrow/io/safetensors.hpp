// The safetensors format: an 8-byte little-endian header length, a JSON header (name -> dtype, shape, place),
// then the tensors' bytes without gaps. Files are read through a mapping, without copying, and everything in
// them is checked before it is believed.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/core/memory.hpp>
#include <burrow/io/file.hpp>
#include <burrow/io/safetensors_header.hpp>
#include <burrow/io/stored_type.hpp>

namespace burrow {

static_assert(std::endian::native == std::endian::little, "burrow stores values as they are in memory");

/// A tensor of a `name` and a `shape` in a file: `bytes` are its elements, row-major, little-endian; they
/// belong to someone else, or to `kept` where they were copied for the file.
struct TensorEntry {
  std::string name;
  StoredType dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
  Storage kept = {};
};

/// The entry for values of T.
template <Element T>
TensorEntry tensor_entry(std::string name, std::vector<std::int64_t> shape, std::span<const T> values) {
  return {std::move(name), stored_type<T>, std::move(shape), std::as_bytes(values)};
}

/// What a safetensors file holds, with its `metadata`, texts by name; the entries' bytes lie in the bytes
/// that were parsed, in file order.
struct Safetensors {
  std::vector<TensorEntry> entries;
  std::map<std::string, std::string> metadata;
};

/// Reads safetensors bytes; `name` begins the message of the IoError that anything wrong in them gives.
inline Safetensors parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  auto header = detail::parse_safetensors_header(bytes, name);
  const auto data = bytes.subspan(header.data_begin);
  detail::check_safetensors_layout(header.tensors, data.size(), name);
  Safetensors result;
  result.metadata = std::move(header.metadata);
  result.entries.reserve(header.tensors.size());
  for (auto& tensor : header.tensors)
    result.entries.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape),
                              data.subspan(tensor.begin, tensor.end - tensor.begin)});
  return result;
}

/// A safetensors file, mapped and checked. Entries stay valid as long as this object, wherever it is moved.
/// What reads a tensor's values throws IoError also when the file's size has changed (see MappedFile).
class SafetensorsFile {
 public:
  /// Throws IoError when the file cannot be read or is not a whole, valid safetensors file.
  explicit SafetensorsFile(const std::filesystem::path& path)
      : file_{std::make_shared<MappedFile>(path)},
        content_{parse_safetensors(file_->bytes(), path.string())} {
    for (std::size_t i = 0; i < content_.entries.size(); ++i) places_.emplace(content_.entries[i].name, i);
  }

  /// All tensors in file order.
  std::span<const TensorEntry> entries() const& { return content_.entries; }
  std::span<const TensorEntry> entries() const&& = delete;  // they would outlive the file
  const std::map<std::string, std::string>& metadata() const { return content_.metadata; }

  /// The tensor of that name, or null.
  const TensorEntry* find(std::string_view name) const {
    const auto place = places_.find(name);
    return place == places_.end() ? nullptr : &content_.entries[place->second];
  }

  /// The tensor of that name; throws IoError when the file has none.
  const TensorEntry& at(std::string_view name) const {
    if (const TensorEntry* const entry = find(name)) return *entry;
    throw IoError(path().string() + ": has no tensor '" + std::string(name) + "'");
  }

  /// The tensor's values, without copying; throws IoError when it is missing, of another type or unaligned.
  template <Element T>
  std::span<const T> values(std::string_view name) const {
    const TensorEntry& entry = at(name);
    file_->check_size();
    return values_of<T>(entry.bytes, entry.dtype, where(name));
  }

  /// Copies the tensor's values into `values`; throws IoError when it is missing, of another type or size.
  template <Element T>
  void copy_to(std::string_view name, std::span<T> values) const {
    const TensorEntry& entry = at(name);
    file_->check_size();
    copy_values<T>(entry.bytes, entry.dtype, values, where(name));
  }

  const std::filesystem::path& path() const { return file_->path(); }
  /// What keeps the entries' bytes alive.
  const std::shared_ptr<const MappedFile>& mapping() const { return file_; }

 private:
  std::string where(std::string_view name) const {
    return path().string() + ": tensor '" + std::string(name) + "'";
  }

  std::shared_ptr<const MappedFile> file_;
  Safetensors content_;
  std::map<std::string, std::size_t, std::less<>> places_;
};

/// Writes a safetensors file, atomically. Tensors are placed by element size (largest first, so that all are
/// aligned), then by name: the same tensors give the same bytes in whatever order they come. Throws
/// ValueError when names repeat or a size contradicts its shape, IoError when the system fails.
inline void write_safetensors(const std::filesystem::path& path, std::span<const TensorEntry> entries,
                              const std::map<std::string, std::string>& metadata = {},
                              Location where = Location::here()) {
  std::vector<const TensorEntry*> order;
  for (const TensorEntry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const TensorEntry* a, const TensorEntry* b) {
    const auto size_a = byte_size(a->dtype), size_b = byte_size(b->dtype);
    return size_a != size_b ? size_a > size_b : a->name < b->name;
  });
  std::vector<detail::TensorPlace> places;
  std::size_t end = 0;
  for (const TensorEntry* const entry : order) {
    const std::size_t begin = std::exchange(end, end + entry->bytes.size());
    places.push_back({entry->name, entry->dtype, entry->shape, begin, end});
    if (byte_size(entry->dtype, entry->shape) != entry->bytes.size())
      throw ValueError("write_safetensors: tensor '" + entry->name + "' has " +
                       std::to_string(entry->bytes.size()) + " bytes, which its shape and type contradict" +
                       at(where));
  }
  const std::string header = detail::safetensors_header(places, metadata, where);
  write_atomically(path, [&](AtomicFile& file) {
    file.write(header);
    for (const TensorEntry* const entry : order) file.write(entry->bytes);
  });
}

}  // namespace burrow
