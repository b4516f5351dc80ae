// Lets a run end in good order when it is told to: Ctrl-C, the SIGTERM of a scheduler, the SIGUSR1 that
// mpirun and srun hand on, a closed terminal.
#pragma once

#include <signal.h>

#include <array>

namespace gopher {

/// While it lives, SIGINT, SIGTERM, SIGUSR1 and SIGHUP (unless nohup ignores it) only ask the run to stop; a
/// SIGINT after that ends the process at once. SIGXFSZ and SIGPIPE are ignored: a file that grows too large
/// and a closed pipe are then errors of the write. The earlier handlers return with its end. There is one
/// such object at a time.
class StopSignal {
 public:
  /// Throws Error if another StopSignal lives.
  StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal();

  /// Whether a signal has come.
  bool requested() const;

 private:
  struct Handled {
    int signal;
    bool ignored;
    struct sigaction before {};
  };
  std::array<Handled, 6> handled_{{{.signal = SIGINT, .ignored = false},
                                   {.signal = SIGTERM, .ignored = false},
                                   {.signal = SIGUSR1, .ignored = false},
                                   {.signal = SIGHUP, .ignored = false},
                                   {.signal = SIGXFSZ, .ignored = true},
                                   {.signal = SIGPIPE, .ignored = true}}};
};

}  // namespace gopher
