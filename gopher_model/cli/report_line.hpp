// Lines of the tables that `gopher info` and `gopher plan` print: a label, a number, a note.
#pragma once

#include <string>
#include <string_view>

#include "gopher_model/model/quantities.hpp"

namespace gopher {

/// The label to the left, the number to the right of its column.
inline std::string line(std::string_view label, std::string number, std::string_view note = "") {
  constexpr std::size_t label_width = 42, number_width = 20;
  std::string text = "  " + std::string(label);
  if (text.size() < label_width) text.resize(label_width, ' ');
  if (number.size() < number_width) number.insert(0, number_width - number.size(), ' ');
  text += number;
  return text + (note.empty() ? "" : "  " + std::string(note)) + "\n";
}

/// The same with the thousands of a count apart.
inline std::string line(std::string_view label, Index number, std::string_view note = "") {
  return line(label, grouped(number), note);
}

/// The same for bytes, in binary units.
inline std::string bytes_line(std::string_view label, double bytes, std::string_view note = "") {
  return line(label, binary_bytes(bytes), note);
}

}  // namespace gopher
