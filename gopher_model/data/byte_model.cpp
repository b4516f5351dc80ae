#include "gopher_model/data/byte_model.hpp"

#include <cmath>
#include <cstddef>
#include <limits>

namespace gopher {

namespace {

std::size_t byte(std::string_view text, std::size_t at) { return static_cast<unsigned char>(text[at]); }

}  // namespace

ByteModel::ByteModel(std::span<const Document> documents)
    : pairs_(std::size_t{1} << 16),
      triples_(std::size_t{1} << 24),
      after_one_(256),
      after_two_(std::size_t{1} << 16) {
  for (const auto& document : documents) count(document.text);
  summarize();
}

void ByteModel::count(std::string_view document) {
  for (std::size_t i = 0; i < document.size(); ++i) {
    const std::size_t next = byte(document, i);
    ++single_[next];
    if (i < 1) continue;
    const std::size_t pair = byte(document, i - 1) << 8 | next;
    ++pairs_[pair];
    if (i < 2) continue;
    auto& triple = triples_[byte(document, i - 2) << 16 | pair];
    if (triple < std::numeric_limits<std::uint32_t>::max()) ++triple;
  }
}

void ByteModel::summarize() {
  const auto add = [](Context& context, std::uint64_t count) {
    context.total += count;
    context.distinct += count > 0;
  };
  for (const auto count : single_) add(empty_, count);
  for (std::size_t i = 0; i < pairs_.size(); ++i) add(after_one_[i >> 8], pairs_[i]);
  for (std::size_t i = 0; i < triples_.size(); ++i) add(after_two_[i >> 8], triples_[i]);
}

double ByteModel::interpolate(double lower, std::uint64_t count, const Context& context) {
  if (context.total == 0) return lower;
  const auto distinct = static_cast<double>(context.distinct);
  return (static_cast<double>(count) + distinct * lower) / (static_cast<double>(context.total) + distinct);
}

double ByteModel::probability(std::string_view context, unsigned char next) const {
  double p = interpolate(1.0 / 256.0, single_[next], empty_);
  if (context.empty()) return p;
  const std::size_t last = byte(context, context.size() - 1);
  p = interpolate(p, pairs_[last << 8 | next], after_one_[last]);
  if (context.size() < 2) return p;
  const std::size_t two = byte(context, context.size() - 2) << 8 | last;
  return interpolate(p, triples_[two << 8 | next], after_two_[two]);
}

double ByteModel::bits(std::string_view document) const {
  double sum = 0.0;
  for (std::size_t i = 0; i < document.size(); ++i) {
    sum -= std::log2(probability(document.substr(0, i), static_cast<unsigned char>(document[i])));
  }
  return sum;
}

double ByteModel::bits_per_byte(std::span<const Document> documents) const {
  double sum = 0.0;
  for (const auto& document : documents) sum += bits(document.text);
  const std::uint64_t bytes = total_bytes(documents);
  return bytes == 0 ? 0.0 : sum / static_cast<double>(bytes);
}

}  // namespace gopher
