// Which ranks are on the same machine, and their order by machines.
#pragma once

#include <unistd.h>

#include <array>
#include <cstdint>

#include <burrow/distributed/communicator.hpp>

namespace burrow {

namespace detail {

/// A number that processes of one machine have alike, made of its name.
inline int machine_number() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  std::uint32_t hash = 2166136261u;
  for (const char* c = name.data(); *c != '\0'; ++c)
    hash = (hash ^ static_cast<unsigned char>(*c)) * 16777619u;
  return static_cast<int>(hash >> 1);
}

/// This rank's place where ranks that have the same `machine` stand beside each other, in the order of the
/// first of each. All ranks call it.
template <Communicator C>
int place_by_machine(const C& world, int machine) {
  if (world.size() == 1) return 0;
  const int first = world.split(machine, world.rank()).all_reduce(world.rank(), Reduction::min);
  return world.split(0, first).rank();
}

}  // namespace detail

/// This rank's number among the ranks on its machine, from 0 on. All ranks call it.
template <Communicator C>
int number_on_machine(const C& world) {
  return world.split(detail::machine_number(), world.rank()).rank();
}

}  // namespace burrow
