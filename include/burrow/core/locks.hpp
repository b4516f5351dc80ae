// Locks, of which one thread at a time is the holder. The standard library's are left out: their header
// brings calendars and clocks, which take long to compile.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <atomic>

namespace burrow::detail {

/// A lock that others sleep for: the system's.
class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex() { pthread_mutex_destroy(&mutex_); }

  void lock() { pthread_mutex_lock(&mutex_); }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

/// A lock for sections of a few instructions: it costs one exchange where nobody else is there.
class SpinLock {
 public:
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire))
      for (int spin = 0; held_.load(std::memory_order_relaxed); ++spin)
        if (spin >= 100) sched_yield();
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

/// Holds a lock until the end of a scope.
template <class L>
class [[nodiscard]] Hold {
 public:
  explicit Hold(L& lock) : lock_{lock} { lock_.lock(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  ~Hold() { lock_.unlock(); }

 private:
  L& lock_;
};

}  // namespace burrow::detail
