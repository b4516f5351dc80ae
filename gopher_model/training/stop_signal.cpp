#include "gopher_model/training/stop_signal.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string_view>

#include <burrow/core/error.hpp>

namespace gopher {
namespace {

std::atomic<bool> living{false};
std::atomic<bool> stop_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

constexpr std::string_view notice = "\nfinishing the step, then saving; Ctrl-C ends at once and loses it\n";

// Only async-signal-safe calls here. The raised signal waits until this handler returns.
extern "C" void ask_to_stop(int signal) {
  const int error = errno;
  const bool asked_before = stop_asked.exchange(true);
  if (asked_before && signal == SIGINT) {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGINT, &action, nullptr);
    ::raise(SIGINT);
  }
  if (!asked_before && signal == SIGINT) {
    [[maybe_unused]] const ssize_t told = ::write(STDERR_FILENO, notice.data(), notice.size());
  }
  errno = error;
}

}  // namespace

StopSignal::StopSignal() {
  if (living.exchange(true)) throw burrow::Error("StopSignal: another one is alive; there can be only one.");
  stop_asked = false;
  struct sigaction action {};
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (Handled& handled : handled_) {
    action.sa_handler = handled.ignored ? SIG_IGN : ask_to_stop;
    ::sigaction(handled.signal, nullptr, &handled.before);
    const bool detached = handled.signal == SIGHUP && handled.before.sa_handler == SIG_IGN;  // by nohup
    if (!detached) ::sigaction(handled.signal, &action, nullptr);
  }
}

StopSignal::~StopSignal() {
  for (const Handled& handled : handled_) ::sigaction(handled.signal, &handled.before, nullptr);
  living = false;
}

bool StopSignal::requested() const { return stop_asked.load(std::memory_order_relaxed); }

}  // namespace gopher
