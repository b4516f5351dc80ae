// A transformer block forward and backward: build/bin/benchmarks/block [threads]. The backward pass is that
// of the input and of all parameters.
#include <cstdlib>
#include <iomanip>
#include <iostream>

#include <burrow/autodiff/reduce.hpp>
#include <burrow/nn/attention.hpp>
#include <burrow/nn/module.hpp>
#include <burrow/tensor/create.hpp>

#include "benchmarks/side_by_side.hpp"

namespace {

using namespace burrow;
using benchmarks::seconds;

struct Block {
  RmsNorm<512> attention_norm, mlp_norm;
  RelativeAttention<512, 8, 64> attention;
  Mlp<512, 2048> mlp;
  auto operator()(const auto& x) const {
    const auto [h, normed] = mlp_norm.add(x, attention(attention_norm(x)));
    return h + mlp(normed);
  }
};

}  // namespace

int main(int count, char** arguments) {
  if (count > 1) set_threads(std::atoi(arguments[1]));
  const auto block = build<Block>(Key{0});
  const auto x = normal<Shape<1, 1024, 512>>(Key{1});
  const auto seed = normal<Shape<1, 1024, 512>>(Key{2});
  Gradient<Block> gradient{block};
  const auto forward = [&] { return seconds([&] { Tensor y(block(x)); }); };
  const auto backward = [&] {
    Tape tape;
    tape.differentiate(parameters(block).store(), gradient.values().data());
    const auto y = materialize(block(tape.watch(x)));
    return seconds([&] { tape.backward(y, seed); });
  };
  const auto times = benchmarks::side_by_side(forward, backward, 15);
  std::cout << "width 512, 8 heads, 1024 tokens, " << threads() << " thread(s)\n"
            << std::fixed << std::setprecision(1) << "forward " << times.first * 1e3 << " ms, backward "
            << times.second * 1e3 << " ms: " << std::setprecision(2) << times.second / times.first
            << " forwards\n";
}
