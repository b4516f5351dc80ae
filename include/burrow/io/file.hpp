// Files: read whole, mapped read-only, and written so that a reader sees the old file or the new one, never
// part of one. Every failure is an IoError with the path and the system's reason.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <burrow/core/error.hpp>

namespace burrow {

namespace detail {

[[noreturn]] inline void throw_io_error(const std::filesystem::path& path, std::string_view what, int error) {
  throw IoError(path.string() + ": " + std::string(what) + ": " + std::generic_category().message(error));
}

/// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags, mode_t mode = 0)
      : value_{::open(path.c_str(), flags | O_CLOEXEC, mode)} {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }

  bool is_open() const { return value_ >= 0; }
  int value() const { return value_; }
  /// Closes; false when the system reports an error, which it may keep back until here.
  bool close() { return value_ < 0 || ::close(std::exchange(value_, -1)) == 0; }

 private:
  int value_;
};

inline struct stat status_of(const Descriptor& file, const std::filesystem::path& path) {
  struct stat status {};
  if (::fstat(file.value(), &status) != 0) throw_io_error(path, "cannot be examined", errno);
  return status;
}

}  // namespace detail

/// The bytes of a whole file as text, whatever they are. Throws IoError.
inline std::string read_text(const std::filesystem::path& path) {
  constexpr std::size_t least = std::size_t{1} << 16;  // pipes have no size
  const detail::Descriptor file{path, O_RDONLY};
  if (!file.is_open()) detail::throw_io_error(path, "cannot be opened", errno);
  const auto expected = static_cast<std::size_t>(detail::status_of(file, path).st_size);
  std::string bytes(expected > 0 ? expected + 1 : least, '\0');
  std::size_t size = 0;
  for (;;) {
    const ssize_t count = ::read(file.value(), bytes.data() + size, bytes.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) detail::throw_io_error(path, "cannot be read", errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
    if (size == bytes.size()) bytes.resize(2 * size);
  }
  bytes.resize(size);
  return bytes;
}

/// A regular file mapped into memory, read-only. Pages are read on first use. The file must not be shortened
/// while it is mapped (write_atomically never does that): the system ends a program that touches a page which
/// is no longer there. `check_size` finds out in time where nobody writes at that very moment.
class MappedFile {
 public:
  /// Throws IoError when the path cannot be opened or is not a regular file.
  explicit MappedFile(std::filesystem::path path) : path_{std::move(path)} {
    const detail::Descriptor file{path_, O_RDONLY | O_NONBLOCK};
    if (!file.is_open()) detail::throw_io_error(path_, "cannot be opened", errno);
    const auto status = detail::status_of(file, path_);
    if (!S_ISREG(status.st_mode)) throw IoError(path_.string() + ": not a regular file");
    device_ = status.st_dev;
    inode_ = status.st_ino;
    if (status.st_size == 0) return;
    const auto size = static_cast<std::size_t>(status.st_size);
    void* const address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.value(), 0);
    if (address == MAP_FAILED) detail::throw_io_error(path_, "cannot be mapped", errno);
    bytes_ = {static_cast<const std::byte*>(address), size};
  }
  MappedFile(MappedFile&& other) noexcept
      : path_{std::move(other.path_)},
        bytes_{std::exchange(other.bytes_, {})},
        device_{other.device_},
        inode_{other.inode_} {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(bytes_, other.bytes_);
    std::swap(device_, other.device_);
    std::swap(inode_, other.inode_);
    return *this;
  }
  ~MappedFile() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

  /// Throws IoError when the file has another size than when it was mapped. A file that was replaced or
  /// removed stays mapped as it was.
  void check_size() const {
    struct stat now {};
    if (::stat(path_.c_str(), &now) != 0 || now.st_dev != device_ || now.st_ino != inode_) return;
    if (static_cast<std::size_t>(now.st_size) != bytes_.size())
      throw IoError(path_.string() + ": has " + std::to_string(now.st_size) + " bytes, but had " +
                    std::to_string(bytes_.size()) + " when it was opened; write a file beside it and rename");
  }

 private:
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/// A file being replaced. What is written goes to a temporary file in the same directory; `commit` syncs it
/// and renames it to `path`. Without a commit it is removed, and the previous file is as it was.
class AtomicFile {
 public:
  /// Throws IoError when the temporary file cannot be created, or `path` is there and not a regular file.
  explicit AtomicFile(const std::filesystem::path& path)
      : path_{replaceable(path)},
        temporary_{temporary_beside(path)},
        file_{temporary_, O_WRONLY | O_CREAT | O_EXCL, 0666} {
    if (!file_.is_open()) detail::throw_io_error(path_, "cannot be created", errno);
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() {
    if (!committed_) ::unlink(temporary_.c_str());
  }

  /// Appends bytes; throws IoError (a full disk, a limit).
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::write(file_.value(), bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) detail::throw_io_error(path_, "cannot be written", count < 0 ? errno : ENOSPC);
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }
  void write(std::string_view text) { write(std::as_bytes(std::span{text})); }

  /// Makes what was written the file `path`, durably; throws IoError. To be called once, last.
  void commit() {
    if (::fsync(file_.value()) != 0 || !file_.close())
      detail::throw_io_error(path_, "cannot be written", errno);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
      detail::throw_io_error(path_, "cannot be replaced", errno);
    committed_ = true;
    const auto parent = path_.parent_path();
    const detail::Descriptor directory{parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY};
    // Some file systems cannot sync a directory; they say EINVAL.
    if (!directory.is_open() || (::fsync(directory.value()) != 0 && errno != EINVAL))
      detail::throw_io_error(path_, "is written, but its directory cannot be synced", errno);
  }

 private:
  static const std::filesystem::path& replaceable(const std::filesystem::path& path) {
    std::error_code unknown;  // whoever is refused here is refused again when the file is made
    const auto status = std::filesystem::status(path, unknown);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
      throw IoError(path.string() + ": cannot be replaced: it is not a regular file");
    return path;
  }

  static std::filesystem::path temporary_beside(const std::filesystem::path& path) {
    static std::atomic<unsigned> count{0};
    return path.parent_path() / ("." + path.filename().string() + "." + std::to_string(::getpid()) + "-" +
                                 std::to_string(count++) + ".tmp");
  }

  std::filesystem::path path_, temporary_;
  detail::Descriptor file_;
  bool committed_ = false;
};

/// Replaces the file `path` by what `writer(file)` writes into an AtomicFile: all of it, or nothing when the
/// writer throws or the system fails (IoError).
template <std::invocable<AtomicFile&> Writer>
void write_atomically(const std::filesystem::path& path, Writer&& writer) {
  AtomicFile file{path};
  writer(file);
  file.commit();
}

/// Replaces the file `path` by `content`, in the same way.
inline void write_atomically(const std::filesystem::path& path, std::string_view content) {
  write_atomically(path, [&](AtomicFile& file) { file.write(content); });
}

}  // namespace burrow
