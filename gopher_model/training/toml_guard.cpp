#include "gopher_model/training/toml_guard.hpp"

#include <algorithm>
#include <string>

#include "gopher_model/model/configuration.hpp"

namespace gopher {
namespace {

bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
         c == '"' || c == '\'';
}

bool is_quote(char c) { return c == '"' || c == '\''; }

bool is_control(char c) { return (c >= 0 && c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F; }

bool beyond_ascii(char c) { return static_cast<unsigned char>(c) >= 0x80; }

// Walks over a text, a string or a comment at a time, up to the first thing to refuse.
class TomlGuard {
 public:
  TomlGuard(std::string_view text, std::string_view source) : text_{text}, source_{source} {}

  void check() {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      check_place(c);
      note(c);
      if (is_quote(c)) {
        skip_string(c);
      } else if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else {
        ++at_;
      }
    }
  }

 private:
  void check_place(char c) const {
    if (beyond_ascii(c)) refuse("characters beyond ASCII must stand within quotes or in a comment.");
    if (is_control(c)) refuse("control characters must not stand outside of quotes.");
    if (c == '{' || c == '}')
      refuse("a table must start with its name on a line of its own, as in [training].");
    const bool opens = is_quote(c) || c == '[';
    if (opens && !may_open_) refuse("a text or a list must follow a key and =, or a comma within a list.");
    if (c == '[' && line_start_ && depth_ == 0) check_table_name();
  }

  // What may come after `c`: a text or list only where one can start.
  void note(char c) {
    if (c == ' ' || c == '\t') return;
    may_open_ = c == '\n' || c == '[' || (c == ',' && depth_ > 0) || (c == '=' && depth_ == 0 && !assigned_);
    assigned_ = c == '=' || (assigned_ && c != '\n');
    line_start_ = c == '\n';
    depth_ += (c == '[') - (c == ']');
  }

  void check_table_name() const {
    std::string_view header = text_.substr(at_);
    for (int bracket = 0; bracket < 2 && !header.empty() && header.front() == '['; ++bracket) {
      header.remove_prefix(1);
      header.remove_prefix(std::min(header.find_first_not_of(" \t"), header.size()));
    }
    if (header.empty() || header.front() == ']' || starts_name(header.front())) return;
    refuse("the name of a table must follow its bracket, as in [training].");
  }

  // Up to the closing quotes; a line break ends a one-line string that is left open.
  void skip_string(char quote) {
    const std::string triple(3, quote);
    const bool multi_line = text_.substr(at_, 3) == triple;
    at_ += multi_line ? 3 : 1;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\\' && quote == '"') {
        check_escape();
        at_ = std::min(at_ + 2, text_.size());
      } else if (!multi_line && (c == quote || c == '\n')) {
        at_ += c == quote ? 1 : 0;
        return;
      } else if (multi_line && text_.substr(at_, 3) == triple) {
        at_ = std::min(text_.find_first_not_of(quote, at_), text_.size());
        return;
      } else {
        ++at_;
      }
    }
  }

  // A backslash before a line break swallows the blanks that follow.
  void check_escape() const {
    const std::size_t next = text_.find_first_not_of(" \t\r\n", at_ + 1);
    if (next == text_.npos || !beyond_ascii(text_[next])) return;
    refuse("a character beyond ASCII must not follow a backslash.");
  }

  [[noreturn]] void refuse(const char* reason) const {
    const auto before = text_.begin() + static_cast<std::ptrdiff_t>(at_);
    throw ConfigError(std::string(source_) + ":" +
                      std::to_string(1 + std::count(text_.begin(), before, '\n')) + ": " + reason);
  }

  std::string_view text_, source_;
  std::size_t at_ = 0;
  Index depth_ = 0;         // of brackets
  bool line_start_ = true;  // nothing but blanks so far
  bool assigned_ = false;   // the line has had its =
  bool may_open_ = true;
};

}  // namespace

void refuse_undefined_toml(std::string_view text, std::string_view source) {
  TomlGuard(text, source).check();
}

}  // namespace gopher
