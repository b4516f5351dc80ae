// A model of bytes given the two bytes before, the baseline that a language model must beat.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "gopher_model/data/documents.hpp"

namespace gopher {

/// Counts of bytes after contexts of 2, 1 and 0 bytes, interpolated down to the uniform distribution as
/// Witten and Bell do: p_k(c | context) = (n(context c) + t p_{k-1}(c)) / (n(context) + t), where t is the
/// number of distinct bytes seen after the context. Documents are independent. Takes 64 MiB.
class ByteModel {
 public:
  explicit ByteModel(std::span<const Document> documents);

  /// Probability of `next` after `context`, of which the last two bytes count (fewer at a document's start).
  double probability(std::string_view context, unsigned char next) const;

  /// -log2 of the probability of `document`.
  double bits(std::string_view document) const;

  /// Bits per byte of `documents`, pooled over them; 0 when they are empty.
  double bits_per_byte(std::span<const Document> documents) const;

 private:
  struct Context {
    std::uint64_t total = 0;
    std::uint64_t distinct = 0;
  };

  void count(std::string_view document);
  void summarize();
  static double interpolate(double lower, std::uint64_t count, const Context& context);

  std::array<std::uint64_t, 256> single_{};
  std::vector<std::uint64_t> pairs_;
  std::vector<std::uint32_t> triples_;
  Context empty_;
  std::vector<Context> after_one_, after_two_;
};

}  // namespace gopher
