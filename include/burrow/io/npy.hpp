// NumPy's .npy files (versions 1.0 and 2.0, row-major, little-endian): one array to a file.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>
#include <burrow/io/stored_type.hpp>

namespace burrow {

/// An array of a `shape` in a file; `bytes` are its elements, row-major, and belong to someone else.
struct NpyArray {
  StoredType dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

namespace detail {

inline constexpr std::pair<std::string_view, StoredType> npy_dtypes[] = {
    {"<f8", StoredType::f64}, {"<f4", StoredType::f32},    {"<f2", StoredType::f16},
    {"<i8", StoredType::i64}, {"<i4", StoredType::i32},    {"<u2", StoredType::u16},
    {"|u1", StoredType::u8},  {"|b1", StoredType::boolean}};

inline constexpr std::string_view npy_magic = "\x93NUMPY";

/// Reads the Python dictionary of an .npy header; every function throws IoError where the text is not one.
class NpyHeaderParser {
 public:
  NpyHeaderParser(std::string_view text, const std::string& name) : rest_{text}, name_{name} {}

  /// The dtype and shape; `bytes` stay empty.
  NpyArray parse() {
    std::optional<std::string_view> descr;
    std::optional<bool> fortran_order;
    std::optional<std::vector<std::int64_t>> shape;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !descr) {
        descr = quoted();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = boolean();
      } else if (key == "shape" && !shape) {
        shape = sizes();
      } else {
        fail("its header has an unknown or repeated key");
      }
      if (!accept(',') && peek() != '}') fail("its header is malformed");
    }
    if (peek() != '\0') fail("its header has text after the dictionary");
    if (!descr || !fortran_order || !shape) fail("its header lacks a key");
    if (*fortran_order && shape->size() > 1)
      throw IoError(name_ + ": holds an array in column-major order; save it with numpy.ascontiguousarray");
    return {dtype(*descr), *std::move(shape), {}};
  }

 private:
  [[noreturn]] void fail(const std::string& why) const {
    throw IoError(name_ + ": not an .npy file: " + why);
  }

  /// The next character that is not white space; '\0' at the end.
  char peek() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n"), rest_.size()));
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool accept(char c) {
    if (peek() != c || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("its header lacks a '") + c + "'");
  }

  std::string_view quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("its header lacks a quoted text");
    const auto end = rest_.find(quote, 1);
    if (end == rest_.npos) fail("its header has a quote that is not closed");
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }

  bool boolean() {
    peek();
    for (const auto& [word, value] : {std::pair{std::string_view{"True"}, true}, {"False", false}}) {
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return value;
    }
    fail("its 'fortran_order' is neither True nor False");
  }

  std::vector<std::int64_t> sizes() {
    std::vector<std::int64_t> result;
    expect('(');
    while (!accept(')')) {
      peek();
      std::int64_t size = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
      if (error != std::errc{} || size < 0) fail("its 'shape' is not made of non-negative integers");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      result.push_back(size);
      if (!accept(',') && peek() != ')') fail("its 'shape' is malformed");
    }
    return result;
  }

  StoredType dtype(std::string_view descr) const {
    for (const auto& [text, type] : npy_dtypes)
      if (text == descr) return type;
    throw IoError(name_ + ": has the dtype '" + std::string(descr) + "', which burrow does not read");
  }

  std::string_view rest_;
  const std::string& name_;
};

/// The header's text, and where the data begins.
inline std::pair<std::string_view, std::size_t> npy_header(std::span<const std::byte> bytes,
                                                           const std::string& name) {
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  const auto byte_at = [&](std::size_t i) { return std::size_t{static_cast<unsigned char>(text[i])}; };
  if (!text.starts_with(npy_magic)) throw IoError(name + ": not an .npy file: it lacks the magic bytes");
  if (text.size() < 8) throw IoError(name + ": truncated: the header is not whole");
  const std::size_t version = byte_at(6);
  if (version < 1 || version > 2 || byte_at(7) != 0)
    throw IoError(name + ": has .npy version " + std::to_string(version) + "." + std::to_string(byte_at(7)) +
                  ", burrow reads 1.0 and 2.0");
  const std::size_t begin = version == 2 ? 12 : 10;
  if (text.size() < begin) throw IoError(name + ": truncated: the header is not whole");
  std::size_t length = byte_at(8) | byte_at(9) << 8;
  if (version == 2) length |= byte_at(10) << 16 | byte_at(11) << 24;
  if (length > text.size() - begin)
    throw IoError(name + ": truncated: the header needs " + std::to_string(length) + " bytes, " +
                  std::to_string(text.size() - begin) + " are there");
  return {text.substr(begin, length), begin + length};
}

/// The header's bytes, padded with spaces to a multiple of 64; version 2.0 only where 1.0 is too small.
inline std::string npy_header(std::string_view descr, std::span<const std::int64_t> shape) {
  std::string text = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  text += shape.size() == 1 ? ",), }" : "), }";
  const bool is_long = text.size() + 64 > 0xFFFF;
  const std::size_t begin = is_long ? 12 : 10;
  text.resize((begin + text.size()) / 64 * 64 + 63 - begin, ' ');
  text += '\n';
  std::string header{npy_magic};
  header += is_long ? '\2' : '\1';
  header += '\0';
  for (std::size_t i = 0; i + 8 < begin; ++i) header += static_cast<char>(text.size() >> (8 * i) & 0xFF);
  return header + text;
}

}  // namespace detail

/// Reads .npy bytes; `name` begins the message of the IoError that anything wrong in them gives.
inline NpyArray parse_npy(std::span<const std::byte> bytes, const std::string& name) {
  const auto [text, data_begin] = detail::npy_header(bytes, name);
  NpyArray array = detail::NpyHeaderParser{text, name}.parse();
  array.bytes = bytes.subspan(data_begin);
  const auto size = byte_size(array.dtype, array.shape);
  if (!size) throw IoError(name + ": not an .npy file: its shape is too large");
  if (*size > array.bytes.size())
    throw IoError(name + ": truncated: the array needs " + std::to_string(*size) + " bytes, " +
                  std::to_string(array.bytes.size()) + " are there");
  if (*size < array.bytes.size())
    throw IoError(name + ": has " + std::to_string(array.bytes.size() - *size) + " bytes after the array");
  return array;
}

/// An .npy file, mapped and checked.
class NpyFile {
 public:
  /// Throws IoError when the file cannot be read or is not a whole, valid .npy file.
  explicit NpyFile(const std::filesystem::path& path)
      : file_{std::make_shared<MappedFile>(path)}, array_{parse_npy(file_->bytes(), path.string())} {}

  StoredType dtype() const { return array_.dtype; }
  std::span<const std::int64_t> shape() const { return array_.shape; }
  std::span<const std::byte> bytes() const { return array_.bytes; }

  /// The values, without copying; throws IoError when they are of another type or unaligned, or the file's
  /// size has changed.
  template <Element T>
  std::span<const T> values() const {
    file_->check_size();
    return values_of<T>(array_.bytes, array_.dtype, path().string());
  }

  const std::filesystem::path& path() const { return file_->path(); }
  /// What keeps the bytes alive.
  const std::shared_ptr<const MappedFile>& mapping() const { return file_; }

 private:
  std::shared_ptr<const MappedFile> file_;
  NpyArray array_;
};

namespace detail {

/// The header of an array's file. Throws ValueError for bf16, which the format does not know, and for bytes
/// that contradict the shape.
inline std::string npy_header_of(const NpyArray& array, const char* caller, Location where) {
  const auto* const known = std::find_if(std::begin(npy_dtypes), std::end(npy_dtypes),
                                         [&](const auto& pair) { return pair.second == array.dtype; });
  if (known == std::end(npy_dtypes))
    throw ValueError(std::string(caller) + ": .npy files cannot hold " + std::string(type_name(array.dtype)) +
                     at(where));
  if (byte_size(array.dtype, array.shape) != array.bytes.size())
    throw ValueError(std::string(caller) + ": " + std::to_string(array.bytes.size()) +
                     " bytes, which the shape and type contradict" + at(where));
  return npy_header(known->first, array.shape);
}

}  // namespace detail

/// Writes an .npy file, atomically. Throws ValueError for bf16, which the format does not know, and for bytes
/// that contradict the shape; IoError when the system fails.
inline void write_npy(const std::filesystem::path& path, const NpyArray& array,
                      Location where = Location::here()) {
  const std::string header = detail::npy_header_of(array, "write_npy", where);
  write_atomically(path, [&](AtomicFile& file) {
    file.write(header);
    file.write(array.bytes);
  });
}

/// Writes values of T as an .npy file of that shape.
template <Element T>
void write_npy(const std::filesystem::path& path, std::vector<std::int64_t> shape, std::span<const T> values,
               Location where = Location::here()) {
  write_npy(path, {stored_type<T>, std::move(shape), std::as_bytes(values)}, where);
}

}  // namespace burrow
