// Observers: objects that are told of every operation on their thread while they exist. Without one, an
// operation pays for reading a thread-local pointer.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <burrow/core/dtype.hpp>
#include <burrow/core/memory.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// Elements that an operation has written.
struct ObservedValues {
  const void* data = nullptr;
  Index count = 0;
  /// The index of the first NaN or infinity, or -1; null where the type has neither.
  Index (*first_nonfinite)(const void* data, Index count) = nullptr;
};

/// A finished operation: its value, or in the backward pass what it wrote to the gradients of its operands.
struct ObservedOperation {
  const char* name;
  bool backward;
  std::string_view dtype;
  std::span<const Index> extents;  ///< of the value, or of its gradient
  Index bytes;                     ///< of the value, or of its gradient
  Storage storage;                 ///< of the value; empty in the backward pass
  std::span<const ObservedValues> written;

  std::string shape() const { return detail::shape_text(extents.data(), extents.size()); }
};

class Observer;

namespace detail {
inline constinit thread_local Observer* innermost_observer = nullptr;
}

/// Base of what observes the operations of its thread during its lifetime. Observers nest.
class Observer {
 public:
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;

  /// An operation begins; time before belongs to nobody.
  virtual void begins() {}
  /// An operation has ended.
  virtual void finishes(const ObservedOperation& operation) = 0;

  Observer* outer() const { return outer_; }

 protected:
  Observer() : outer_{detail::innermost_observer} { detail::innermost_observer = this; }
  ~Observer() { detail::innermost_observer = outer_; }

 private:
  Observer* outer_;
};

namespace detail {

inline bool observed() { return innermost_observer != nullptr; }

inline void tell_beginning() {
  for (Observer* o = innermost_observer; o != nullptr; o = o->outer()) o->begins();
}
inline void tell_end(const ObservedOperation& operation) {
  for (Observer* o = innermost_observer; o != nullptr; o = o->outer()) o->finishes(operation);
}

template <class T>
Index first_nonfinite(const void* data, Index count) {
  const T* const values = static_cast<const T*>(data);
  for (Index i = 0; i < count; ++i) {
    const auto value = static_cast<compute_type<T>>(values[i]);
    if (!(value - value == 0)) return i;
  }
  return -1;
}

}  // namespace detail

}  // namespace burrow
