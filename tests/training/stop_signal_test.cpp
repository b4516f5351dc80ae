// A signal asks to stop; a second Ctrl-C does not ask.
#include "gopher_model/training/stop_signal.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>

#include <burrow/core/error.hpp>

namespace gopher::stop_signal_test {
namespace {

volatile std::sig_atomic_t outer_calls = 0;
void count_call(int) { outer_calls = outer_calls + 1; }

// How a process ends that is sent these signals one after another: its exit code, or minus the signal.
template <std::size_t Count>
int end_after(const std::array<int, Count>& signals) {
  const pid_t child = ::fork();
  if (child == 0) {
    const StopSignal stop;
    for (const int signal : signals) std::raise(signal);
    ::_exit(stop.requested() ? 7 : 8);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a first signal of any kind only sets the flag") {
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGHUP}) {
    const StopSignal stop;
    CHECK_FALSE(stop.requested());
    std::raise(signal);
    CHECK(stop.requested());
  }
}

TEST_CASE("an interrupt after a request ends the process, a scheduler may repeat itself") {
  CHECK(end_after(std::array{SIGINT}) == 7);
  CHECK(end_after(std::array{SIGINT, SIGINT}) == -SIGINT);
  CHECK(end_after(std::array{SIGTERM, SIGINT}) == -SIGINT);
  CHECK(end_after(std::array{SIGTERM, SIGTERM, SIGTERM}) == 7);
  CHECK(end_after(std::array{SIGINT, SIGTERM}) == 7);
}

TEST_CASE("the handlers from before come back") {
  const auto interrupt = std::signal(SIGINT, count_call);
  const auto terminate = std::signal(SIGTERM, count_call);
  outer_calls = 0;
  {
    const StopSignal stop;
    std::raise(SIGINT);
    std::raise(SIGTERM);
    CHECK(outer_calls == 0);
  }
  std::raise(SIGINT);
  std::raise(SIGTERM);
  CHECK(outer_calls == 2);
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, terminate);
}

TEST_CASE("a process that nohup started is not stopped by a closed terminal") {
  const auto before = std::signal(SIGHUP, SIG_IGN);
  {
    const StopSignal stop;
    std::raise(SIGHUP);
    CHECK_FALSE(stop.requested());
  }
  std::signal(SIGHUP, before);
}

TEST_CASE("a closed pipe and a file that grows too large are errors, not the end") {
  for (const int signal : {SIGPIPE, SIGXFSZ}) {
    const StopSignal stop;
    std::raise(signal);
    CHECK_FALSE(stop.requested());
  }
  CHECK(std::signal(SIGXFSZ, SIG_DFL) == SIG_DFL);
}

TEST_CASE("there is one at a time, and each starts without a request") {
  {
    const StopSignal first;
    std::raise(SIGTERM);
    CHECK_THROWS_AS(StopSignal{}, burrow::Error);
    CHECK(first.requested());
  }
  CHECK_FALSE(StopSignal{}.requested());
}

TEST_CASE("reads and writes that a signal interrupts go on") {
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const StopSignal stop;
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    ::usleep(50'000);
    ::kill(parent, SIGTERM);
    ::usleep(50'000);
    ::_exit(::write(pipe[1], "x", 1) == 1 ? 0 : 1);
  }
  char byte = 0;
  CHECK(::read(pipe[0], &byte, 1) == 1);
  CHECK(stop.requested());
  ::waitpid(child, nullptr, 0);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace gopher::stop_signal_test
