// What `gopher info --machine` says about this machine.
#pragma once

#include <string>

namespace gopher {

/// Processor, SIMD, threads and backend, for people.
std::string machine_text();

/// The same as one JSON object.
std::string machine_json();

}  // namespace gopher
