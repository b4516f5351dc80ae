#include "gopher_model/tokenizer/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <burrow/core/error.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace gopher {

namespace {

std::string reason(int code) { return std::generic_category().message(code); }

class Descriptor {
 public:
  explicit Descriptor(int number) : number_{number} {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }
  int close() { return ::close(std::exchange(number_, -1)); }

 private:
  int number_;
};

bool write_all(int descriptor, std::string_view bytes) {
  constexpr std::size_t step = std::size_t{1} << 30;
  while (!bytes.empty()) {
    const auto written = ::write(descriptor, bytes.data(), std::min(bytes.size(), step));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// A renamed file survives a power cut only when its directory is synced too; some file systems refuse.
void sync_directory(const std::filesystem::path& directory) {
  const Descriptor descriptor{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (descriptor.get() >= 0) ::fsync(descriptor.get());
}

int write_aside(const std::string& aside, std::span<const std::string_view> parts) {
  Descriptor file{::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
  if (file.get() < 0) return errno;
  for (const auto part : parts) {
    if (!write_all(file.get(), part)) return errno;
  }
  if (::fsync(file.get()) != 0) return errno;
  return file.close() == 0 ? 0 : errno;
}

}  // namespace

std::string read_file(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.get() < 0) throw burrow::IoError(path + " cannot be opened: " + reason(errno) + ".");
  std::string contents;
  struct stat status {};
  if (::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode)) {
    contents.reserve(static_cast<std::size_t>(status.st_size) + 1);
  }
  std::size_t filled = 0;
  while (true) {
    contents.resize(std::max(contents.capacity(), filled + (std::size_t{1} << 16)));
    const auto count = ::read(file.get(), contents.data() + filled, contents.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw burrow::IoError(path + " cannot be read: " + reason(errno) + ".");
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  contents.resize(filled);
  return contents;
}

void write_file(const std::string& path, std::span<const std::string_view> parts) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw burrow::IoError(path + " cannot be written: it exists and is not a regular file.");
  }
  const std::string aside = path + ".partial-" + std::to_string(::getpid());
  int code = write_aside(aside, parts);
  if (code == 0 && ::rename(aside.c_str(), path.c_str()) != 0) code = errno;
  if (code != 0) {
    ::unlink(aside.c_str());
    throw burrow::IoError(path + " cannot be written: " + reason(code) + ".");
  }
  const auto directory = std::filesystem::path(path).parent_path();
  sync_directory(directory.empty() ? std::filesystem::path(".") : directory);
}

std::uint64_t checksum(std::string_view bytes, std::uint64_t seed) {
  // Every step is a bijection of the state for a given word, so one changed word always changes the result.
  constexpr std::uint64_t multiplier = 0x9E3779B97F4A7C15u;
  std::uint64_t state = (seed ^ bytes.size()) * multiplier;
  const auto absorb = [&state](const char* from, std::size_t count) {
    std::uint64_t word = 0;
    std::memcpy(&word, from, count);
    state = (state ^ word) * multiplier;
    state ^= state >> 32;
  };
  std::size_t position = 0;
  for (; position + 8 <= bytes.size(); position += 8) absorb(bytes.data() + position, 8);
  absorb(bytes.data() + position, bytes.size() - position);
  return state;
}

}  // namespace gopher
