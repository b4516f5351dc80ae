// The host memory that checkpoints are copied to, so that they can be written while training goes on.
#pragma once

#include <span>
#include <type_traits>
#include <vector>

#include <burrow/core/memory.hpp>
#include <burrow/core/parallel.hpp>

namespace gopher {

using burrow::Index;

/// A copy of some arrays. Its memory is taken once, by `reserve`, for arrays of the same sizes each time.
class CheckpointCopy {
 public:
  /// Takes memory for one more array. Throws burrow::Error where the system has none.
  void reserve(Index bytes) {
    pieces_.push_back({burrow::Buffer<burrow::Cpu>{bytes}, bytes});
    bytes_ += bytes;
  }
  /// Of all arrays.
  Index bytes() const { return bytes_; }

  /// The next copies take the place of the earlier ones.
  void clear() { next_ = 0; }
  /// Copies the next of the arrays from a device or the host. Throws burrow::Error unless its size is the one
  /// that was reserved.
  template <class T>
  std::span<const T> copy(const burrow::detail::DeviceMemory& memory, std::span<const T> values) {
    const auto bytes = static_cast<Index>(values.size_bytes());
    if (next_ == pieces_.size() || pieces_[next_].bytes != bytes)
      throw burrow::Error("CheckpointCopy: array " + std::to_string(next_) + " has " + std::to_string(bytes) +
                          " bytes, for which nothing was reserved");
    auto* const to = static_cast<T*>(pieces_[next_++].memory.data());
    if (memory.is_host)
      copy_on_host(to, values);
    else if (bytes > 0)
      memory.to_host(to, values.data(), bytes);
    return {to, values.size()};
  }

 private:
  struct Piece {
    burrow::Buffer<burrow::Cpu> memory;
    Index bytes;
  };

  template <class T>
  static void copy_on_host(T* to, std::span<const T> values) {
    burrow::parallel_for(static_cast<Index>(values.size()), Index{1} << 18, [&](Index begin, Index end) {
      std::memcpy(to + begin, values.data() + begin, static_cast<std::size_t>(end - begin) * sizeof(T));
    });
  }

  std::vector<Piece> pieces_;
  std::size_t next_ = 0;
  Index bytes_ = 0;
};

}  // namespace gopher
