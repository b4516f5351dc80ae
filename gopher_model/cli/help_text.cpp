#include "gopher_model/cli/help_text.hpp"

namespace gopher {

std::string wrapped(std::string_view text, std::size_t indent) {
  constexpr std::size_t columns = 100;
  std::string out;
  std::size_t column = indent;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size() < text.size() ? word.size() + 1 : word.size());
    if (column > indent && column + 1 + word.size() > columns) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) out += ' ';
    column += word.size() + (column > indent ? 1 : 0);
    out += word;
  }
  return out;
}

std::string help_entry(const std::string& name, std::string_view meaning) {
  constexpr std::size_t column = 30;
  const std::string left = "  " + name;
  const bool beside = left.size() + 2 <= column;
  const std::string gap = beside ? std::string(column - left.size(), ' ') : "\n" + std::string(column, ' ');
  return left + gap + wrapped(meaning, column) + "\n";
}

}  // namespace gopher
