// What `gopher info --machine` says about this machine.
#pragma once

#include <string>

namespace gopher {

/// Processor, instructions, threads, caches, libraries, and measured peaks, for people.
std::string machine_text();

/// The same as one JSON object.
std::string machine_json();

}  // namespace gopher
