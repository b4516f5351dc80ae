// Lets a run end in good order when it is told to: Ctrl-C, or the SIGTERM of a scheduler.
#pragma once

#include <signal.h>

namespace gopher {

/// While it lives, SIGINT and SIGTERM only ask the run to stop; a SIGINT after that ends the process at once.
/// The earlier handlers return with its end. There is one such object at a time.
class StopSignal {
 public:
  /// Throws Error if the handlers cannot be set or another StopSignal lives.
  StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal();

  /// Whether a signal has come.
  bool requested() const;

 private:
  struct sigaction interrupt_before_ {};
  struct sigaction terminate_before_ {};
};

}  // namespace gopher
