#include "gopher_model/training/stop_signal.hpp"

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>

#include <burrow/core/error.hpp>

namespace gopher {
namespace {

std::atomic<bool> living{false};
std::atomic<bool> stop{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

// Only async-signal-safe calls here. The raised signal waits until this handler returns.
extern "C" void ask_to_stop(int signal) {
  const bool asked_before = stop.exchange(true);
  if (asked_before && signal == SIGINT) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGINT, &action, nullptr);
    ::raise(SIGINT);
  }
}

}  // namespace

StopSignal::StopSignal() {
  if (living.exchange(true)) throw burrow::Error("StopSignal: another one is alive; there can be only one.");
  stop = false;
  struct sigaction action {};
  action.sa_handler = ask_to_stop;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &interrupt_before_);
  ::sigaction(SIGTERM, &action, &terminate_before_);
}

StopSignal::~StopSignal() {
  ::sigaction(SIGINT, &interrupt_before_, nullptr);
  ::sigaction(SIGTERM, &terminate_before_, nullptr);
  living = false;
}

bool StopSignal::requested() const { return stop.load(std::memory_order_relaxed); }

}  // namespace gopher
