// Help as it stands on a terminal: names on the left, what they mean beside them.
#pragma once

#include <string>
#include <string_view>

namespace gopher {

/// `text` broken between words into lines of at most 100 columns; all lines but the first start with `indent`
/// spaces, and the first is taken to start there.
std::string wrapped(std::string_view text, std::size_t indent);

/// One entry of a list: the name, and its wrapped meaning beside it or, after a long name, below.
std::string help_entry(const std::string& name, std::string_view meaning);

}  // namespace gopher
