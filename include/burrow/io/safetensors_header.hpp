// The JSON header of safetensors files: reading it without trust, and writing it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <burrow/core/error.hpp>
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

/// JSON that throws IoError where it is malformed or repeats a key.
inline nlohmann::json parse_header_json(std::string_view text, const std::string& name) {
  using Json = nlohmann::json;
  std::vector<std::set<std::string>> keys;
  const auto check = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      not_safetensors(name, "its header has '" + value.get<std::string>() + "' twice");
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::parse_error& error) {
    not_safetensors(name, "its header is not JSON at byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    not_safetensors(name, "its header has a number out of range");
  }
}

/// A non-negative integer of at most 63 bits.
inline std::optional<std::int64_t> json_size(const nlohmann::json& value) {
  if (!value.is_number_integer()) return {};
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) return {};
  const auto size = value.get<std::int64_t>();
  return size >= 0 ? std::optional{size} : std::nullopt;
}

inline std::vector<std::int64_t> json_sizes(const nlohmann::json& info, const char* key,
                                            const std::string& where) {
  const auto found = info.find(key);
  if (found == info.end() || !found->is_array())
    throw IoError(where + " has no '" + key + "' that is a list");
  std::vector<std::int64_t> sizes;
  for (const auto& value : *found) {
    const auto size = json_size(value);
    if (!size) throw IoError(where + " has a '" + key + "' that is not all non-negative integers");
    sizes.push_back(*size);
  }
  return sizes;
}

inline TensorPlace parse_tensor_place(const std::string& tensor, const nlohmann::json& info,
                                      const std::string& name) {
  const std::string where = name + ": not a safetensors file: tensor '" + tensor + "'";
  if (!info.is_object()) throw IoError(where + " is not described by an object");
  const auto type = info.find("dtype");
  if (type == info.end() || !type->is_string()) throw IoError(where + " has no 'dtype' that is a string");
  const auto& text = type->get_ref<const std::string&>();
  const auto* const known = std::find_if(std::begin(safetensors_dtypes), std::end(safetensors_dtypes),
                                         [&](const auto& pair) { return pair.first == text; });
  if (known == std::end(safetensors_dtypes))
    throw IoError(name + ": tensor '" + tensor + "' has the dtype '" + text +
                  "', which burrow does not know");
  const auto offsets = json_sizes(info, "data_offsets", where);
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    throw IoError(where + " has 'data_offsets' that are not [begin, end]");
  TensorPlace place{tensor, known->second, json_sizes(info, "shape", where),
                    static_cast<std::size_t>(offsets[0]), static_cast<std::size_t>(offsets[1])};
  if (byte_size(place.dtype, place.shape) != place.end - place.begin)
    throw IoError(where + " has " + std::to_string(place.end - place.begin) +
                  " bytes, which its shape and dtype contradict");
  return place;
}

/// Reads the header: all of it is checked but the tensors' places.
inline SafetensorsHeader parse_safetensors_header(std::span<const std::byte> bytes, const std::string& name) {
  const std::string_view text = safetensors_header_text(bytes, name);
  const auto json = parse_header_json(text, name);
  if (!json.is_object()) not_safetensors(name, "its header is not an object");
  SafetensorsHeader header;
  header.data_begin = sizeof(std::uint64_t) + text.size();
  for (const auto& [key, value] : json.items()) {
    if (key != safetensors_metadata_key) {
      header.tensors.push_back(parse_tensor_place(key, value, name));
      continue;
    }
    if (!value.is_object()) not_safetensors(name, "its metadata is not an object");
    for (const auto& [word, content] : value.items()) {
      if (!content.is_string()) not_safetensors(name, "its metadata '" + word + "' is not a string");
      header.metadata.emplace(word, content.get<std::string>());
    }
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
                                      const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json[std::string(safetensors_metadata_key)] = metadata;
  std::set<std::string_view> names{safetensors_metadata_key};
  for (const TensorPlace& tensor : tensors) {
    if (!names.insert(tensor.name).second)
      throw ValueError("write_safetensors: two tensors are named '" + tensor.name + "'");
    const auto* const known = std::find_if(std::begin(safetensors_dtypes), std::end(safetensors_dtypes),
                                           [&](const auto& pair) { return pair.second == tensor.dtype; });
    json[tensor.name] = {
        {"dtype", known->first}, {"shape", tensor.shape}, {"data_offsets", {tensor.begin, tensor.end}}};
  }
  std::string text;
  try {
    text = json.dump();
  } catch (const nlohmann::json::exception&) {
    throw ValueError("write_safetensors: a name or the metadata is not UTF-8");
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  std::string header(sizeof length, '\0');
  std::memcpy(header.data(), &length, sizeof length);
  return header + text;
}

}  // namespace burrow::detail
