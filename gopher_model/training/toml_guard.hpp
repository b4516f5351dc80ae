// Refuses the wrong TOML that toml++ 3.3 takes for impossible, and so aborts on, or worse, instead of
// reporting.
#pragma once

#include <string_view>

namespace gopher {

/// Throws ConfigError, with the line in `source`, if a table's name starts with a character that none starts
/// with ("[.a]"), a text or a list stands where none can start, control characters or characters beyond
/// ASCII stand outside of texts and comments, or right after a backslash (or the blanks after it) within a
/// text. Tables in braces and quoted parts of dotted keys, of which configurations have none, are refused
/// too. All else is left to toml++.
void refuse_undefined_toml(std::string_view text, std::string_view source);

}  // namespace gopher
