// "Did you mean": the known name closest to a misspelt one, for messages about unknown names.
#pragma once

#include <algorithm>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gopher {

/// The number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (the
/// restricted Damerau-Levenshtein distance).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> older(b.size() + 1), old(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    older.swap(old);
    old.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = old[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({old[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], older[j - 2] + 1);
    }
  }
  return row[b.size()];
}

/// The element of `known` closest to `name`; the first of equals; empty if `known` is.
inline std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known) {
  constexpr std::size_t longest_compared = 64;
  name = name.substr(0, longest_compared);
  const auto closer = [&](std::string_view a, std::string_view b) {
    return edit_distance(name, a) < edit_distance(name, b);
  };
  const auto nearest = std::min_element(known.begin(), known.end(), closer);
  return nearest == known.end() ? std::string_view{} : *nearest;
}

/// `name` in quotes for one line of a message: cut where it is long, control characters as "?".
inline std::string quoted_name(std::string_view name) {
  constexpr std::size_t longest = 40;
  std::string text(name.substr(0, longest));
  for (char& c : text) {
    if ((c >= 0 && c < 0x20) || c == 0x7F) c = '?';
  }
  return "\"" + text + (name.size() > longest ? "..." : "") + "\"";
}

/// "a, b, c" of the names, for messages.
inline std::string listed(std::span<const std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

}  // namespace gopher
