// The subscripts of an einsum, "bij,bjk->bik", read and checked at compile time.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include <burrow/core/shape.hpp>

namespace burrow {

/// A string as a template argument: its `characters`, with the zero at the end.
template <std::size_t Size>
struct FixedString {
  char characters[Size]{};
  constexpr FixedString(const char (&text)[Size]) {
    for (std::size_t i = 0; i < Size; ++i) characters[i] = text[i];
  }
};

namespace detail {

/// The names of some axes, a letter each, in order.
struct Labels {
  static constexpr std::size_t most_of_operand = 8;
  std::array<char, 3 * most_of_operand> names{};
  std::size_t count = 0;

  constexpr char operator[](std::size_t i) const { return names[i]; }
  constexpr void add(char name) { names[count++] = name; }
  constexpr std::size_t occurrences(char name) const {
    std::size_t found = 0;
    for (std::size_t i = 0; i < count; ++i) found += names[i] == name ? 1 : 0;
    return found;
  }
  constexpr bool has(char name) const { return occurrences(name) > 0; }
  constexpr std::size_t find(char name) const {
    std::size_t i = 0;
    while (i < count && names[i] != name) ++i;
    return i;
  }
  /// Every name once.
  constexpr Labels distinct() const {
    Labels result;
    for (std::size_t i = 0; i < count; ++i)
      if (!result.has(names[i])) result.add(names[i]);
    return result;
  }
  /// Those that are in `other`, or those that are not.
  constexpr Labels among(const Labels& other, bool wanted = true) const {
    Labels result;
    for (std::size_t i = 0; i < count; ++i)
      if (other.has(names[i]) == wanted) result.add(names[i]);
    return result;
  }
  constexpr Labels then(const Labels& other) const {
    Labels result = *this;
    for (std::size_t i = 0; i < other.count; ++i) result.add(other.names[i]);
    return result;
  }
  friend constexpr bool operator==(const Labels&, const Labels&) = default;
};

/// Why subscripts, or the shapes beside them, are refused.
struct Refusal {
  enum class Reason { none, character, too_many_names, operand_count, unknown, repeated, rank, extents };
  Reason reason = Reason::none;
  char name = 0;
  Index first = 0;
  Index second = 0;
};

struct Subscripts {
  static constexpr std::size_t most_operands = 3;
  std::array<Labels, most_operands> operands{};
  std::size_t operand_count = 1;
  Labels output;
  Refusal refusal;
};

/// Without an arrow, the output has the names that occur once, in alphabetical order.
constexpr Labels implied_output(const Subscripts& s) {
  Labels output;
  for (int c = 'A'; c <= 'z'; ++c) {
    std::size_t found = 0;
    for (const Labels& operand : s.operands) found += operand.occurrences(static_cast<char>(c));
    if (found == 1) output.add(static_cast<char>(c));
  }
  return output;
}

/// The first of the output's names that is unknown or given twice.
constexpr Refusal output_refusal(const Subscripts& s) {
  for (std::size_t i = 0; i < s.output.count; ++i) {
    const char name = s.output[i];
    bool known = false;
    for (const Labels& operand : s.operands) known = known || operand.has(name);
    if (!known) return {Refusal::Reason::unknown, name};
    if (s.output.occurrences(name) > 1) return {Refusal::Reason::repeated, name};
  }
  return {};
}

/// Reads subscripts for a number of operands; what is wrong with them is said in the result.
template <std::size_t Size>
constexpr Subscripts read_subscripts(const FixedString<Size>& text, std::size_t operands) {
  using Reason = Refusal::Reason;
  Subscripts s;
  bool arrow = false;
  const auto refuse = [&](Refusal refusal) {
    s.refusal = refusal;
    return s;
  };
  for (std::size_t i = 0; i + 1 < Size; ++i) {
    const char c = text.characters[i];
    Labels& labels = arrow ? s.output : s.operands[s.operand_count - 1];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      if (labels.count == Labels::most_of_operand) return refuse({Reason::too_many_names, c});
      labels.add(c);
    } else if (c == ',' && !arrow && s.operand_count < Subscripts::most_operands) {
      ++s.operand_count;
    } else if (c == '-' && !arrow && text.characters[i + 1] == '>') {
      arrow = true;
      ++i;
    } else if (c != ' ') {
      return refuse({Reason::character, c});
    }
  }
  if (!arrow) s.output = implied_output(s);
  if (s.operand_count != operands)
    return refuse(
        {Reason::operand_count, 0, static_cast<Index>(s.operand_count), static_cast<Index>(operands)});
  return refuse(output_refusal(s));
}

/// Extents of names; dyn where unknown so far.
struct LabelExtents {
  std::array<Index, 128> of{};
  std::array<std::size_t, 128> operand{};  // that the extent comes from

  constexpr LabelExtents() { of.fill(dyn); }
  constexpr Index operator[](char name) const { return of[static_cast<std::size_t>(name)]; }
  /// False where a known extent is contradicted.
  constexpr bool meet(char name, Index extent, std::size_t from = 0) {
    Index& known = of[static_cast<std::size_t>(name)];
    if (known == dyn) {
      known = extent;
      operand[static_cast<std::size_t>(name)] = from;
    }
    return extent == dyn || known == extent;
  }
};

/// Throws ShapeError where extents of one name differ; `number` counts operands from 1.
inline void meet_extents(LabelExtents& known, const Labels& labels, const Index* extents, std::size_t number,
                         Location where) {
  for (std::size_t i = 0; i < labels.count; ++i)
    if (!known.meet(labels[i], extents[i], number))
      throw ShapeError("einsum: index " + std::string(1, labels[i]) + " has extent " +
                       std::to_string(known[labels[i]]) + " in operand " +
                       std::to_string(known.operand[static_cast<std::size_t>(labels[i])]) + " and " +
                       std::to_string(extents[i]) + " in operand " + std::to_string(number) + at(where));
}

}  // namespace detail

}  // namespace burrow
