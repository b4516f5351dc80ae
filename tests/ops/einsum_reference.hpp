// einsum by its definition: one loop over all values of all indices.
#pragma once

#include <burrow/ops/einsum/einsum.hpp>
#include <map>
#include <string>
#include <vector>

#include "tests/ops/compare.hpp"
#include "tests/worse.hpp"

namespace ops_test {

/// A dense operand in double.
struct Plain {
  std::vector<double> values;
  std::vector<Index> extents;
};

template <class E>
Plain plain(const E& e) {
  const Tensor dense = cast<double>(e);
  const auto extents = dense.shape().values();
  return {{dense.values().begin(), dense.values().end()}, {extents.begin(), extents.end()}};
}

/// Where the indices' values lead in a row-major array with these names.
inline Index offset_of(const std::string& names, const std::map<char, Index>& extents,
                       const std::map<char, Index>& at) {
  Index offset = 0;
  for (const char name : names) offset = offset * extents.at(name) + at.at(name);
  return offset;
}

inline Plain reference_einsum(const std::string& subscripts, const std::vector<Plain>& operands) {
  const auto arrow = subscripts.find("->");
  const std::string output = subscripts.substr(arrow + 2);
  std::vector<std::string> inputs{""};
  for (const char c : subscripts.substr(0, arrow))
    if (c == ',')
      inputs.emplace_back();
    else
      inputs.back() += c;
  std::map<char, Index> extents, at;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    for (std::size_t axis = 0; axis < inputs[i].size(); ++axis)
      extents[inputs[i][axis]] = operands[i].extents[axis];
  Plain result;
  Index all = 1, size = 1;
  for (const auto& [name, extent] : extents) all *= extent;
  for (const char name : output) {
    result.extents.push_back(extents[name]);
    size *= extents[name];
  }
  result.values.assign(static_cast<std::size_t>(size), 0.0);
  for (Index number = 0; number < all; ++number) {
    Index rest = number;
    for (const auto& [name, extent] : extents) {
      at[name] = rest % extent;
      rest /= extent;
    }
    double product = 1;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      product *= operands[i].values[static_cast<std::size_t>(offset_of(inputs[i], extents, at))];
    result.values[static_cast<std::size_t>(offset_of(output, extents, at))] += product;
  }
  return result;
}

/// Largest |a - b| / (1 + |b|) between einsum and its definition; infinite where shapes differ.
template <FixedString Text, class... E>
double einsum_error(const E&... e) {
  const auto y = plain(einsum<Text>(e...));
  const auto expected = reference_einsum(Text.characters, {plain(e)...});
  if (y.extents != expected.extents) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < y.values.size(); ++i)
    worst = worse(worst, std::abs(y.values[i] - expected.values[i]) / (1 + std::abs(expected.values[i])));
  return worst;
}

}  // namespace ops_test
