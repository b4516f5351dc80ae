// Compares what two safetensors files hold.
#pragma once

#include <cstring>
#include <filesystem>

#include <burrow/io/safetensors.hpp>

/// True where two files hold the same tensors, bit for bit; their metadata may differ.
inline bool same_tensors(const std::filesystem::path& a, const std::filesystem::path& b) {
  const burrow::SafetensorsFile left{a}, right{b};
  if (left.entries().size() != right.entries().size()) return false;
  for (const auto& entry : left.entries()) {
    const auto* const other = right.find(entry.name);
    if (other == nullptr || other->dtype != entry.dtype || other->shape != entry.shape ||
        std::memcmp(entry.bytes.data(), other->bytes.data(), entry.bytes.size()) != 0)
      return false;
  }
  return true;
}
