// The optimizers' passes over memory beside loops that do nothing but move as many bytes:
// build/bin/benchmarks/optimizer [threads [millions of parameters]]. Bytes are those that an update must read
// and write once: gradient, parameters, what is remembered, and the fp32 copy where one is kept.
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <string>
#include <vector>

#include <burrow/optim/adam.hpp>
#include <burrow/optim/clip.hpp>
#include <burrow/optim/lion.hpp>
#include <burrow/optim/rms_prop.hpp>
#include <burrow/optim/sgd.hpp>

#include "benchmarks/side_by_side.hpp"

namespace {

using namespace burrow;
using benchmarks::seconds;
using V = Packet<float>;

template <class T>
using Memory = std::vector<T, PoolAllocator<T>>;

template <class T>
Memory<T> values(Index count, std::uint64_t seed) {
  Memory<T> result(static_cast<std::size_t>(count));
  parallel_for(count, 1 << 14, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      result[static_cast<std::size_t>(i)] = T(Key{seed}.uniform(static_cast<std::uint64_t>(i)) - 0.5f);
  });
  return result;
}

template <class Body>
void packets(Index count, const Body& body) {
  parallel_for(count / V::size, 512, [&](Index begin, Index end) {
    for (Index i = begin * V::size; i < end * V::size; i += V::size) body(i);
  });
}

/// What the machine gives: STREAM's triad, and the same with one array in place, as an update is.
class Triad {
 public:
  explicit Triad(Index count)
      : count_{count},
        a_{values<float>(count, 1)},
        b_{values<float>(count, 2)},
        c_{values<float>(count, 3)} {}

  double streaming() {
    float *const a = a_.data(), *const b = b_.data(), *const c = c_.data();
    return seconds(
        [&] { packets(count_, [&](Index i) { (V::load(b + i) + V(0.5f) * V::load(c + i)).store(a + i); }); });
  }
  double in_place() {
    float *const a = a_.data(), *const b = b_.data();
    return seconds(
        [&] { packets(count_, [&](Index i) { (V::load(a + i) * V(0.5f) + V::load(b + i)).store(a + i); }); });
  }
  double bytes() const { return 12.0 * static_cast<double>(count_); }

 private:
  Index count_;
  Memory<float> a_, b_, c_;
};

/// One line: GB/s of `work`, and its share of both triads, which are timed in turns with it.
template <class Work>
void row(const std::string& name, int bytes_per_element, Index count, Triad& triad, const Work& work) {
  constexpr int rounds = 7;
  std::vector<double> works, streams, updates;
  work();
  for (int round = 0; round < rounds; ++round) {
    streams.push_back(triad.streaming());
    works.push_back(seconds(work));
    updates.push_back(triad.in_place());
  }
  const double rate = bytes_per_element * static_cast<double>(count) / benchmarks::median(works) / 1e9;
  const auto share = [&](const std::vector<double>& times) {
    return 100 * rate / (triad.bytes() / benchmarks::median(times) / 1e9);
  };
  std::cout << "| " << name << " | " << bytes_per_element << " | " << std::fixed << std::setprecision(1)
            << rate << " | " << std::setprecision(0) << share(streams) << " % | " << share(updates) << " % |"
            << std::endl;
}

template <class P, template <class, class> class Slice>
void optimizer(const std::string& name, int bytes_per_element, Index count, Triad& triad,
               const typename Slice<P, Cpu>::Options& options) {
  Memory<P> parameters = values<P>(count, 4);
  const Memory<float> gradient = values<float>(count, 5);
  Slice<P, Cpu> slice{parameters, 0, options};
  row(name, bytes_per_element, count, triad,
      [&] { slice.step(std::span{parameters}, std::span<const float>{gradient}, {.gradient_factor = 0.5}); });
}

}  // namespace

int main(int argument_count, char** arguments) {
  set_threads(argument_count > 1 ? std::atoi(arguments[1]) : 1);
  const Index count = (argument_count > 2 ? std::atoi(arguments[2]) : 24) * Index{1'000'000};
  Triad triad{count};
  std::cout << "| " << threads() << " thread(s) | bytes | GB/s | of a triad | of one in place |\n"
            << "|---|---|---|---|---|\n";
  const auto copy = Bf16Update::fp32_copy, stochastic = Bf16Update::stochastic;
  optimizer<float, AdamSlice>("AdamW, fp32", 28, count, triad, {.weight_decay = 0.1});
  optimizer<bf16, AdamSlice>("AdamW, bf16 with an fp32 copy", 30, count, triad,
                             {.weight_decay = 0.1, .bf16_update = copy});
  optimizer<bf16, AdamSlice>("AdamW, bf16 rounded stochastically", 24, count, triad,
                             {.weight_decay = 0.1, .bf16_update = stochastic});
  optimizer<float, LionSlice>("Lion, fp32", 20, count, triad, {.weight_decay = 0.1});
  optimizer<bf16, LionSlice>("Lion, bf16 rounded stochastically", 16, count, triad,
                             {.weight_decay = 0.1, .bf16_update = stochastic});
  optimizer<float, SgdSlice>("Sgd, fp32", 12, count, triad, {});
  optimizer<float, SgdSlice>("Sgd with momentum, fp32", 20, count, triad, {.momentum = 0.9});
  optimizer<bf16, SgdSlice>("Sgd, bf16 rounded stochastically", 8, count, triad, {.bf16_update = stochastic});
  optimizer<float, RmsPropSlice>("RmsProp, fp32", 20, count, triad, {});
  optimizer<float, AdaGradSlice>("AdaGrad, fp32", 20, count, triad, {});
  const Memory<float> gradient = values<float>(count, 6);
  double norm = 0;
  row("the gradient's norm", 4, count, triad, [&] { norm += global_norm(std::span<const float>{gradient}); });
  if (!(norm > 0)) return 1;
}
