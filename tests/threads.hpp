// A number of threads for one test, whatever way the test ends.
#pragma once

#include <burrow/core/parallel.hpp>

/// Sets the number of threads for its lifetime.
class Threads {
 public:
  explicit Threads(int count) : before_{burrow::threads()} { burrow::set_threads(count); }
  ~Threads() { burrow::set_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};
