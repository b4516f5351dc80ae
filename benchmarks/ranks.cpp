// Training of a Gopher by single-threaded ranks against one rank with as many threads, in turns:
// mpirun --bind-to none -n 2 build/bin/benchmarks/ranks [--context N] [--sequences N] [--micro-batch N]
// [--rounds N] [FORM...]. Forms: zero-0 (plain data parallelism) to zero-3, tensor, pipeline, and
// interleaved (two stages to a rank); all without any named. A step is Gopher 44M's, in fp32: forward,
// backward, clipping and AdamW on random tokens.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "benchmarks/ranks/form.hpp"
#include "benchmarks/side_by_side.hpp"
#include "gopher_model/model/accounting.hpp"
#include "gopher_model/model/presets.hpp"

namespace {

using namespace benchmarks;

struct Options {
  StepSize work{gopher::gopher_44m.size, 4, 1};
  int rounds = 4;
  std::vector<std::string> forms;
};

Options parse(int count, char** arguments) {
  Options options;
  options.work.size.context = 256;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = arguments[i];
    const auto number = [&] {
      const int value = i + 1 < count ? std::atoi(arguments[++i]) : 0;
      if (value < 1) throw ValueError(std::string(name) + " needs a number above 0");
      return value;
    };
    if (name == "--context")
      options.work.size.context = number();
    else if (name == "--sequences")
      options.work.sequences = number();
    else if (name == "--micro-batch")
      options.work.micro_batch = number();
    else if (name == "--rounds")
      options.rounds = number();
    else if (name.starts_with("-"))
      throw ValueError("what is " + std::string(name) + "?");
    else
      options.forms.emplace_back(name);
  }
  if (options.forms.empty())
    options.forms = {"zero-0", "zero-1", "zero-2", "zero-3", "tensor", "pipeline", "interleaved"};
  return options;
}

std::unique_ptr<Form> form_called(const std::string& name, const StepSize& work,
                                  const MpiCommunicator& world) {
  using Ranks = MpiCommunicator;
  if (name == "tensor")
    return std::make_unique<benchmarks::detail::WholeForm<TensorParallel<Float32<Cpu>, Ranks>, Ranks>>(
        work, Mesh{world, {.tensor = world.size()}}, ShardingOptions{0});
  if (name == "pipeline" || name == "interleaved")
    return std::make_unique<benchmarks::detail::StagedForm<Float32<Cpu>, Ranks>>(
        work, Mesh{world, {.pipeline = world.size()}}, name == "pipeline" ? 1 : 2, ShardingOptions{0});
  const int stage = name.starts_with("zero-") && name.size() == 6 ? name.back() - '0' : -1;
  if (stage < 0 || stage > 3) throw ValueError("there is no form " + name);
  return std::make_unique<benchmarks::detail::WholeForm<Float32<Cpu>, Ranks>>(
      work, Mesh{world, {.data = world.size()}}, ShardingOptions{stage});
}

/// The first rank works while the others sleep, so that it has all cores.
template <class F>
void only_first(const MpiCommunicator& world, const F& f) {
  float token = 0;
  if (world.rank() == 0) f();
  Pending done = world.start_broadcast(std::span{&token, 1});
  while (!done.ready()) usleep(2000);
  world.barrier();
}

struct Turn {
  std::vector<double> alone, together, waited;  // seconds of steps
  Index bytes = 0;                              // sent by all ranks in a step
};

Turn take_turns(const Options& options, const MpiCommunicator& world, Form* alone, Form& form) {
  Turn turn;
  for (int round = -1; round < options.rounds; ++round) {
    double seconds = 0;
    only_first(world, [&] {
      set_threads(world.size());
      seconds = benchmarks::seconds([&] { alone->step(); });
      set_threads(1);
    });
    const double waited = form.waited();
    const Index sent = form.sent().total().bytes;
    const double together = benchmarks::seconds([&] {
      form.step();
      world.barrier();
    });
    turn.bytes = world.all_reduce(form.sent().total().bytes - sent);
    const double exposed = world.all_reduce(form.waited() - waited) / world.size();
    if (round < 0) continue;
    turn.alone.push_back(seconds);
    turn.together.push_back(together);
    turn.waited.push_back(exposed);
  }
  return turn;
}

void print(const Options& options, int ranks, const std::string& name, const Turn& turn) {
  const double alone = median(turn.alone), together = median(turn.together);
  const double tokens = static_cast<double>(options.work.sequences * options.work.size.context);
  const double least = 2.0 * (ranks - 1) * 4 * static_cast<double>(parameters(options.work.size).full());
  std::printf("| %-11s | %8.1f | %8.1f | %5.1f %% | %6.1f %% | %8.1f | %5.3f |\n", name.c_str(),
              tokens / alone, tokens / together, 100 * alone / together, 100 * median(turn.waited) / together,
              static_cast<double>(turn.bytes) / 1e6, static_cast<double>(turn.bytes) / least);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
  const auto world = MpiCommunicator::world(argc, argv);
  const Options options = parse(argc, argv);
  const Index unit = options.work.micro_batch * world.size();
  if (options.work.sequences % unit != 0)
    throw ValueError("--sequences must be a multiple of micro-batch x ranks = " + std::to_string(unit));
  set_threads(1);
  std::unique_ptr<Form> alone;
  const bool first = world.rank() == 0;
  if (first) {
    using Alone = benchmarks::detail::WholeForm<Float32<Cpu>, SelfCommunicator>;
    const Index all = gopher::parameters(options.work.size).full();
    alone = std::make_unique<Alone>(options.work, Mesh{SelfCommunicator{}, {}}, ShardingOptions{0, all});
    std::printf(
        "| form | tokens/s, 1 rank | %d ranks | ratio | waiting | MB sent | of 2(N-1)/N |\n"
        "|---|---|---|---|---|---|---|\n",
        world.size());
  }
  for (const std::string& name : options.forms) {
    const auto form = form_called(name, options.work, world);
    const Turn turn = take_turns(options, world, alone.get(), *form);
    if (first) print(options, world.size(), name, turn);
  }
} catch (const std::exception& error) {
  std::cerr << "ranks: " << error.what() << '\n';
  return 2;
}
