// Observers: objects that are told of every operation on their thread while they exist, and of the regions
// that a program names. Without one, each pays for reading a thread-local pointer.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <burrow/core/dtype.hpp>
#include <burrow/core/memory.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// Elements that an operation has written: `count` of them from `data` on.
struct ObservedValues {
  const void* data = nullptr;
  Index count = 0;
  /// The index of the first NaN or infinity, or -1; null where the type has neither.
  Index (*first_nonfinite)(const void* data, Index count) = nullptr;
};

/// What an operation takes: floating-point operations (`flops`), and bytes that it must move, each operand
/// once.
struct Work {
  double flops = 0;
  double bytes = 0;
  std::string_view factors = {};  ///< the dtype that is multiplied, where the value has another
};

/// A finished operation: its value, or in the backward pass what it wrote to the gradients of its operands.
struct ObservedOperation {
  const char* name;  ///< "matmul"
  bool backward;
  std::string_view dtype;                   ///< of the value
  std::span<const Index> extents;           ///< of the value, or of its gradient
  Index bytes;                              ///< of the value, or of its gradient
  Storage storage;                          ///< of the value; empty in the backward pass
  std::span<const ObservedValues> written;  ///< what can be looked at
  double traffic;                           ///< bytes of all operands and of what is written, each once

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
  /// Until the matching `leaves`, all belongs to a region, or to a recorded operation's backward pass.
  virtual void enters(const char*, bool /*backward*/) {}
  virtual void leaves() {}
  /// The operation or region that goes on takes this work; told by those that know more than `traffic` says.
  virtual void works(const Work&) {}

  Observer* outer() const { return outer_; }

 protected:
  Observer() : outer_{detail::innermost_observer} { detail::innermost_observer = this; }
  ~Observer() { detail::innermost_observer = outer_; }

 private:
  Observer* outer_;
};

namespace detail {

inline bool observed() { return innermost_observer != nullptr; }

[[gnu::cold, gnu::noinline]] inline void tell_beginning() {
  for (Observer* o = innermost_observer; o != nullptr; o = o->outer()) o->begins();
}
[[gnu::cold, gnu::noinline]] inline void tell_end(const ObservedOperation& operation) {
  for (Observer* o = innermost_observer; o != nullptr; o = o->outer()) o->finishes(operation);
}
/// Of a value that the backward pass has computed again. Not a template: nvcc takes no braces there.
[[gnu::cold, gnu::noinline]] inline void tell_recomputed(const char* name, std::string_view dtype,
                                                         std::span<const Index> extents, Index bytes) {
  tell_end({name, true, dtype, extents, bytes, {}, {}, 2 * static_cast<double>(bytes)});
}
inline void tell_entry(const char* name, bool backward) {
  for (Observer* o = innermost_observer; o != nullptr; o = o->outer()) o->enters(name, backward);
}
inline void tell_exit() {
  for (Observer* o = innermost_observer; o != nullptr; o = o->outer()) o->leaves();
}

/// Tells observers what the operation on this thread takes.
inline void tell_work(const Work& work) {
  for (Observer* o = innermost_observer; o != nullptr; o = o->outer()) o->works(work);
}

/// Tells observers that something begins and, at the end of the scope, that it is over.
class ObservedScope {
 public:
  ObservedScope(const char* name, bool backward) : told_{observed()} {
    if (told_) tell_entry(name, backward);
  }
  ObservedScope(const ObservedScope&) = delete;
  ObservedScope& operator=(const ObservedScope&) = delete;
  ~ObservedScope() {
    if (told_) tell_exit();
  }

 private:
  bool told_;
};

template <class T>
Index first_nonfinite(const void* data, Index count) {
  const T* const values = static_cast<const T*>(data);
  for (Index i = 0; i < count; ++i) {
    const auto value = static_cast<compute_type<T>>(values[i]);
    if (!(value - value == 0)) return i;
    if constexpr (is_dual<T>)
      if (!(value.tangent - value.tangent == 0)) return i;
  }
  return -1;
}

}  // namespace detail

/// Names what a program does until the end of the scope, for observers: `const Region region{"update"};`.
/// Regions nest. The name must outlive the observers; a literal does.
class Region : detail::ObservedScope {
 public:
  explicit Region(const char* name) : ObservedScope{name, false} {}

  /// Says what the region takes beside the operations in it.
  void takes(const Work& work) const {
    if (detail::observed()) detail::tell_work(work);
  }
};

}  // namespace burrow
