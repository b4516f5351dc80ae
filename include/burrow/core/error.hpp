// The errors burrow throws. A message is one sentence: what was wrong, where, and what would be right.
#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>

namespace burrow {

/// Base of every error that burrow throws; catch this to catch all of them.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Extents that do not fit together and are only known at run time; the text matches the compile-time
/// message.
struct ShapeError : Error {
  using Error::Error;
};

/// A value outside of what an operation accepts (an index out of range, a negative learning rate).
struct ValueError : Error {
  using Error::Error;
};

/// A configuration that cannot be run: an unknown key, a value out of range, options that contradict each
/// other.
struct ConfigError : Error {
  using Error::Error;
};

/// There is no GPU, no driver for it, or no code for one in this program. Programs end with exit code 2 on
/// it.
struct NoDeviceError : Error {
  using Error::Error;
};

/// A file that could not be read or written, or is not what it should be. The message starts with the path.
struct IoError : Error {
  using Error::Error;
};

/// The line of the user's call; as a defaulted last argument it is filled in where the call is written.
struct Location {
  const char* file = nullptr;  ///< none where the call is not known
  int line = 0;

  /// Where the call is written that this is the default argument of.
  static constexpr Location here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

namespace detail {

/// A message in the making, of no more than a kilobyte, for errors that nearly every program can throw:
/// functions of std::string are compiled again in each.
class Message {
 public:
  [[gnu::cold, gnu::noinline]] Message& add(std::string_view text) {
    const std::size_t room = sizeof(text_) - 1 - size_;
    size_ += text.copy(text_ + size_, text.size() < room ? text.size() : room);
    text_[size_] = '\0';
    return *this;
  }
  [[gnu::cold, gnu::noinline]] Message& add(long long number) {
    char digits[24];
    std::snprintf(digits, sizeof(digits), "%lld", number);
    return add(digits);
  }
  /// " [file:line]"; nothing where that is not known.
  [[gnu::cold, gnu::noinline]] Message& add(const Location& where) {
    if (where.file == nullptr) return *this;
    std::string_view file = where.file;
    if (const auto slash = file.rfind('/'); slash != file.npos) file.remove_prefix(slash + 1);
    return add(" [").add(file).add(":").add(where.line).add("]");
  }

  const char* text() const { return text_; }

 private:
  std::size_t size_ = 0;
  char text_[1024] = "";
};

}  // namespace detail

/// " [file:line]" of the user's call, appended to messages of errors; nothing where it is not known.
[[gnu::cold]] inline std::string at(const Location& where) { return detail::Message{}.add(where).text(); }

}  // namespace burrow
