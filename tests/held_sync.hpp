// A disk that is slow on purpose: the system's fsync, which every file that is replaced goes through, waits.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

/// While it lives, fsync waits until `free` returns true, half a minute at most; but not in the thread that
/// made the object, so that what a test's own thread writes is as fast as ever. There is one at a time.
class HeldSync {
 public:
  explicit HeldSync(std::function<bool()> free) : free_{std::move(free)}, owner_{std::this_thread::get_id()} {
    current() = this;
  }
  HeldSync(const HeldSync&) = delete;
  HeldSync& operator=(const HeldSync&) = delete;
  ~HeldSync() { current() = nullptr; }

  /// How many calls have come.
  int calls() const { return calls_; }
  /// Whether one has waited in vain.
  bool in_vain() const { return in_vain_; }

  static void wait() {
    HeldSync* const held = current();
    if (held == nullptr || std::this_thread::get_id() == held->owner_) return;
    ++held->calls_;
    for (int i = 0; i < 3000; ++i) {
      if (held->free_()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    held->in_vain_ = true;
  }

 private:
  static std::atomic<HeldSync*>& current() {
    static std::atomic<HeldSync*> held{nullptr};
    return held;
  }

  std::function<bool()> free_;
  std::thread::id owner_;
  std::atomic<int> calls_{0};
  std::atomic<bool> in_vain_{false};
};

/// In place of the C library's.
extern "C" [[gnu::weak]] int fsync(int file) {
  HeldSync::wait();
  return static_cast<int>(::syscall(SYS_fsync, file));
}
