// The JSON header of safetensors files: reading it without trust, and writing it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/io/json.hpp>
#include <burrow/io/stored_type.hpp>

namespace burrow::detail {

/// A tensor of the header; `begin` and `end` count bytes from the end of the header.
struct TensorPlace {
  std::string name;
  StoredType dtype;
  std::vector<std::int64_t> shape;
  std::size_t begin, end;
};

struct SafetensorsHeader {
  std::vector<TensorPlace> tensors;
  std::map<std::string, std::string> metadata;
  std::size_t data_begin;
};

inline constexpr std::string_view safetensors_metadata_key = "__metadata__";
inline constexpr std::uint64_t safetensors_max_header = 100'000'000;

inline constexpr std::pair<std::string_view, StoredType> safetensors_dtypes[] = {
    {"F64", StoredType::f64}, {"F32", StoredType::f32},   {"F16", StoredType::f16},
    {"I64", StoredType::i64}, {"BF16", StoredType::bf16}, {"I32", StoredType::i32},
    {"U16", StoredType::u16}, {"U8", StoredType::u8},     {"BOOL", StoredType::boolean}};

[[noreturn]] inline void not_safetensors(const std::string& name, const std::string& why) {
  throw IoError(name + ": not a safetensors file: " + why);
}

/// The header's text, without trust in the length that precedes it.
inline std::string_view safetensors_header_text(std::span<const std::byte> bytes, const std::string& name) {
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length)
    not_safetensors(name, "it has " + std::to_string(bytes.size()) + " bytes, fewer than its first field");
  std::memcpy(&length, bytes.data(), sizeof length);
  const std::string_view rest{reinterpret_cast<const char*>(bytes.data()) + sizeof length,
                              bytes.size() - sizeof length};
  if (length > safetensors_max_header)
    not_safetensors(name, "its header would have " + std::to_string(length) + " bytes");
  if (!rest.empty() && length > 0 && rest.front() != '{')
    not_safetensors(name, "its header does not begin with '{'");
  if (length > rest.size())
    throw IoError(name + ": truncated: the header needs " + std::to_string(length) + " bytes, " +
                  std::to_string(rest.size()) + " are there");
  return rest.substr(0, length);
}

/// The list of non-negative integers that is the value of `key`.
inline std::vector<std::int64_t> json_sizes(JsonReader& json, const std::string& key,
                                            const std::string& where) {
  if (json.kind() != JsonReader::Kind::list) throw IoError(where + " has no '" + key + "' that is a list");
  std::vector<std::int64_t> sizes;
  json.list([&] {
    const auto size = json.kind() == JsonReader::Kind::number ? json.size() : std::nullopt;
    if (!size) throw IoError(where + " has a '" + key + "' that is not all non-negative integers");
    sizes.push_back(*size);
  });
  return sizes;
}

inline TensorPlace parse_tensor_place(JsonReader& json, const std::string& tensor, const std::string& name) {
  const std::string where = name + ": not a safetensors file: tensor '" + tensor + "'";
  if (json.kind() != JsonReader::Kind::object) throw IoError(where + " is not described by an object");
  std::optional<std::string> type;
  std::optional<std::vector<std::int64_t>> shape, offsets;
  json.object([&](const std::string& key) {
    if (key == "dtype" && json.kind() == JsonReader::Kind::string)
      type = json.string();
    else if (key == "shape")
      shape = json_sizes(json, key, where);
    else if (key == "data_offsets")
      offsets = json_sizes(json, key, where);
    else
      json.skip();
  });
  if (!type) throw IoError(where + " has no 'dtype' that is a string");
  if (!shape) throw IoError(where + " has no 'shape' that is a list");
  if (!offsets) throw IoError(where + " has no 'data_offsets' that is a list");
  const auto* const known = std::find_if(std::begin(safetensors_dtypes), std::end(safetensors_dtypes),
                                         [&](const auto& pair) { return pair.first == *type; });
  if (known == std::end(safetensors_dtypes))
    throw IoError(name + ": tensor '" + tensor + "' has the dtype '" + *type +
                  "', which burrow does not know");
  if (offsets->size() != 2 || (*offsets)[0] > (*offsets)[1])
    throw IoError(where + " has 'data_offsets' that are not [begin, end]");
  TensorPlace place{tensor, known->second, std::move(*shape), static_cast<std::size_t>((*offsets)[0]),
                    static_cast<std::size_t>((*offsets)[1])};
  if (byte_size(place.dtype, place.shape) != place.end - place.begin)
    throw IoError(where + " has " + std::to_string(place.end - place.begin) +
                  " bytes, which its shape and dtype contradict");
  return place;
}

inline void parse_metadata(JsonReader& json, std::map<std::string, std::string>& metadata,
                           const std::string& name) {
  if (json.kind() != JsonReader::Kind::object) not_safetensors(name, "its metadata is not an object");
  json.object([&](const std::string& word) {
    if (json.kind() != JsonReader::Kind::string)
      not_safetensors(name, "its metadata '" + word + "' is not a string");
    metadata.emplace(word, json.string());
  });
}

/// Reads the header: all of it is checked but the tensors' places.
inline SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view text = safetensors_header_text(bytes, name);
  SafetensorsHeader header;
  header.data_begin = sizeof(std::uint64_t) + text.size();
  JsonReader json{text};
  try {
    json.object([&](const std::string& key) {
      if (key == safetensors_metadata_key)
        parse_metadata(json, header.metadata, name);
      else
        header.tensors.push_back(parse_tensor_place(json, key, name));
    });
    json.end();
  } catch (const JsonError& error) {
    if (error.repeated_key) not_safetensors(name, "its header has '" + *error.repeated_key + "' twice");
    not_safetensors(name, "its header is not JSON at byte " + std::to_string(error.byte));
  }
  return header;
}

/// Sorts the tensors by place, and throws IoError unless they fill `size` bytes without gap or overlap.
inline void check_safetensors_layout(std::vector<TensorPlace>& tensors, std::size_t size,
                                     const std::string& name) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorPlace& a, const TensorPlace& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::size_t end = 0;
  for (const TensorPlace& tensor : tensors) {
    if (tensor.begin != end)
      not_safetensors(name, "tensor '" + tensor.name + "' begins at byte " + std::to_string(tensor.begin) +
                                ", the one before ends at " + std::to_string(end));
    end = tensor.end;
  }
  if (end > size)
    throw IoError(name + ": truncated: the tensors need " + std::to_string(end) + " bytes, " +
                  std::to_string(size) + " are there");
  if (end < size)
    not_safetensors(name, "it has " + std::to_string(size - end) + " bytes after the last tensor");
}

/// The header's bytes with its length, padded with spaces to a multiple of 8. Throws ValueError for a
/// repeated or impossible name.
inline std::string safetensors_header(std::span<const TensorPlace> tensors,
                                      const std::map<std::string, std::string>& metadata, Location where) {
  const auto quoted = [where](const std::string& value) {
    auto result = json_string(value);
    if (!result) throw ValueError("write_safetensors: a name or the metadata is not UTF-8" + at(where));
    return std::move(*result);
  };
  std::string text = "{";
  if (!metadata.empty()) {
    text += quoted(std::string(safetensors_metadata_key)) + ":{";
    for (const auto& [word, content] : metadata) {
      if (text.back() != '{') text += ',';
      text += quoted(word) + ':' + quoted(content);
    }
    text += '}';
  }
  std::set<std::string_view> names{safetensors_metadata_key};
  for (const TensorPlace& tensor : tensors) {
    if (!names.insert(tensor.name).second)
      throw ValueError("write_safetensors: two tensors are named '" + tensor.name + "'" + at(where));
    const auto* const known = std::find_if(std::begin(safetensors_dtypes), std::end(safetensors_dtypes),
                                           [&](const auto& pair) { return pair.second == tensor.dtype; });
    if (text.size() > 1) text += ',';
    text += quoted(tensor.name) + ":{\"dtype\":\"" + std::string(known->first) + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i)
      text += (i > 0 ? "," : "") + std::to_string(tensor.shape[i]);
    text += "],\"data_offsets\":[" + std::to_string(tensor.begin) + ',' + std::to_string(tensor.end) + "]}";
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  std::string header(sizeof length, '\0');
  std::memcpy(header.data(), &length, sizeof length);
  return header + text;
}

}  // namespace burrow::detail
