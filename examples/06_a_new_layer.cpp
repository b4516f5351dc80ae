// Lesson 6: a new layer is a struct and a call operator. There is no base class and nothing is registered.
#include <iostream>

#include <burrow/burrow.hpp>

using namespace burrow;

/// down(silu(gate(x)) * up(x)): a feed-forward layer with a gate. [..., Width] to [..., Width].
template <Index Width, Index Hidden, class Policy = Float32<Cpu>>
struct GatedMlp {
  Linear<Width, Hidden, Policy> gate, up;
  Linear<Hidden, Width, Policy> down;
  auto operator()(const auto& x) const { return down(silu(gate(x)) * up(x)); }
};

// Parameters are counted by the compiler.
static_assert(parameter_count<GatedMlp<512, 2048>> == 3 * 512 * 2048 + 2 * 2048 + 512);

// Layers are made of layers in the same way.
template <Index Width>
struct Block {
  RmsNorm<Width> norm;
  GatedMlp<Width, 2 * Width> mlp;
  auto operator()(const auto& x) const { return x + mlp(norm(x)); }
};

struct Network {
  Linear<3, 8> input;
  Repeat<Block<8>, 2> blocks;
  Linear<8, 1> output;
  auto operator()(const auto& x) const { return output(blocks(input(x))); }
};

int main() {
  // `build` gives the model its elements: one flat array, filled by each parameter's own rule.
  const auto network = build<Network>(Key{0});

  for_each_parameter(network, [](const std::string& name, const auto& parameter) {
    std::cout << name << ' ' << parameter.shape() << '\n';
  });
  std::cout << parameter_count<Network> << " parameters, all in one array of "
            << parameters(network).values().size() << '\n';

  // The same call operator takes any number of leading axes.
  const auto one_batch = Tensor(network(ones<Shape<5, 3>>()));
  const auto two_batches = Tensor(network(ones<Shape<2, 5, 3>>()));
  std::cout << one_batch.shape() << ' ' << two_batches.shape() << '\n';
  // network(ones<Shape<5, 4>>());  // does not compile: matmul takes no Shape<5, 4> and Shape<3, 8>
}

// Output:
// input.weight Shape<3, 8>
// input.bias Shape<8>
// blocks.0.norm.gain Shape<8>
// blocks.0.mlp.gate.weight Shape<8, 16>
// blocks.0.mlp.gate.bias Shape<16>
// blocks.0.mlp.up.weight Shape<8, 16>
// blocks.0.mlp.up.bias Shape<16>
// blocks.0.mlp.down.weight Shape<16, 8>
// blocks.0.mlp.down.bias Shape<8>
// blocks.1.norm.gain Shape<8>
// blocks.1.mlp.gate.weight Shape<8, 16>
// blocks.1.mlp.gate.bias Shape<16>
// blocks.1.mlp.up.weight Shape<8, 16>
// blocks.1.mlp.up.bias Shape<16>
// blocks.1.mlp.down.weight Shape<16, 8>
// blocks.1.mlp.down.bias Shape<8>
// output.weight Shape<8, 1>
// output.bias Shape<1>
// 905 parameters, all in one array of 905
// Shape<5, 1> Shape<2, 5, 1>
