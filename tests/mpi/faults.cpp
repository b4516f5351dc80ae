// faults HOW: rank 1 fails in one of the ways that faults.sh knows, while the others wait for it.
#include <unistd.h>

#include <burrow/distributed/init.hpp>
#include <csignal>
#include <cstdio>
#include <string_view>

using namespace burrow;

namespace {

void fail(std::string_view how, const distributed::World& world) {
  std::vector<float> x(8);
  if (how == "differ") world.check_calls(true);
  if (how == "late" || how == "split") world.set_patience(1);
  if (world.rank() == 1) {
    if (how == "throw" || how == "caught") throw Error("the disk is full");
    if (how == "exit") std::exit(3);
    if (how == "kill") std::raise(SIGKILL);
    if (how == "late" || how == "split" || how == "absent") sleep(30);
    if (how == "differ") world.all_reduce(std::span{x}.first(7), Reduction::max);
  }
  if (how == "split")
    (void)world.split(0, world.rank());
  else if (how != "absent")
    world.all_reduce(std::span{x});
  else if (world.rank() == 0)
    world.receive(std::span{x}, 1);
  else if (world.rank() == 1)
    world.send(std::span<const float>{x}, 0);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view how = argv[1];
  if (how != "caught") {
    const auto world = distributed::init(argc, argv);
    fail(how, world);
    return 0;
  }
  try {
    const auto world = distributed::init(argc, argv);
    fail(how, world);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "caught: %s\n", error.what());
    return 1;
  }
}
