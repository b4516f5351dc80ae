// The basic layers: Linear, Projection, Embedding, RmsNorm, LayerNorm, Mlp, GluMlp. Each is a plain struct;
// run-time extents are given by `sized`, static ones need nothing.
#pragma once

#include <burrow/nn/module.hpp>
#include <burrow/ops/embedding/embedding.hpp>
#include <burrow/ops/layer_norm/layer_norm.hpp>
#include <burrow/ops/matmul/feed_forward.hpp>
#include <burrow/ops/matmul/linear.hpp>
#include <burrow/ops/rms_norm/rms_norm.hpp>

namespace burrow {

/// y = x W + b over the last axis: [..., In] to [..., Out]. W is [In, Out], normal with deviation 1/sqrt(In);
/// b is zero.
template <Index In, Index Out, class Policy = Float32<Cpu>>
struct Linear {
  Parameter<typename Policy::parameter, Shape<In, Out>, typename Policy::device> weight{init::fan_in()};
  Parameter<typename Policy::parameter, Shape<Out>, typename Policy::device> bias{init::zeros};

  static Linear sized(Index in, Index out, Initializer rule = init::fan_in()) {
    return {{Shape<In, Out>{{in, out}}, rule}, {Shape<Out>{{out}}, init::zeros}};
  }
  auto operator()(const auto& x, Location where = Location::here()) const {
    using C = typename Policy::compute;
    return linear(x, cast<C>(weight), cast<C>(bias), where);
  }
};

/// y = x W without a bias: [..., In] to [..., Out].
template <Index In, Index Out, class Policy = Float32<Cpu>>
struct Projection {
  Parameter<typename Policy::parameter, Shape<In, Out>, typename Policy::device> weight{init::fan_in()};

  static Projection sized(Index in, Index out, Initializer rule = init::fan_in()) {
    return {{Shape<In, Out>{{in, out}}, rule}};
  }
  auto operator()(const auto& x, Location where = Location::here()) const {
    return matmul(x, cast<typename Policy::compute>(weight), where);
  }
};

/// A row of the table for each integer: [...] to [..., Width]. The table is [Vocabulary, Width], normal with
/// deviation 0.02.
template <Index Vocabulary, Index Width, class Policy = Float32<Cpu>>
struct Embedding {
  Parameter<typename Policy::parameter, Shape<Vocabulary, Width>, typename Policy::device> table{
      init::normal(0.02f)};

  static Embedding sized(Index vocabulary, Index width, Initializer rule = init::normal(0.02f)) {
    return {{Shape<Vocabulary, Width>{{vocabulary, width}}, rule}};
  }
  auto operator()(const auto& ids, Location where = Location::here()) const {
    return embedding<typename Policy::compute>(table, ids, where);
  }

  /// Scores of every row of the table for a hidden state (tied output): [..., Width] to [..., Vocabulary].
  auto scores(const auto& hidden, Location where = Location::here()) const {
    const auto rows = operand(tape_of(hidden), table);
    return matmul(hidden, cast<typename Policy::compute>(transpose(rows)), where);
  }
};

/// y = x g / sqrt(mean(x^2) + 1e-5) over the last axis (Zhang and Sennrich 2019); g is one at first. Neither
/// g nor its gradient is rounded to the type of x.
template <Index Width, class Policy = Float32<Cpu>>
struct RmsNorm {
  Parameter<typename Policy::parameter, Shape<Width>, typename Policy::device> gain{init::ones};

  static RmsNorm sized(Index width) { return {{Shape<Width>{{width}}, init::ones}}; }
  auto operator()(const auto& x, Location where = Location::here()) const {
    return rms_norm(x, gain, 1e-5, where);
  }
  /// {sum, norm}: a + b and its norm, in one pass.
  auto add(const auto& a, const auto& b, Location where = Location::here()) const {
    return add_rms_norm(a, b, gain, 1e-5, where);
  }
};

/// y = (x - mean) g / sqrt(variance + 1e-5) + b over the last axis (Ba et al. 2016). Neither g and b nor
/// their gradients are rounded to the type of x.
template <Index Width, class Policy = Float32<Cpu>>
struct LayerNorm {
  Parameter<typename Policy::parameter, Shape<Width>, typename Policy::device> gain{init::ones};
  Parameter<typename Policy::parameter, Shape<Width>, typename Policy::device> bias{init::zeros};

  static LayerNorm sized(Index width) {
    return {{Shape<Width>{{width}}, init::ones}, {Shape<Width>{{width}}, init::zeros}};
  }
  auto operator()(const auto& x, Location where = Location::here()) const {
    return layer_norm(x, gain, bias, 1e-5, where);
  }
  /// {sum, norm}: a + b and its norm, in one pass.
  auto add(const auto& a, const auto& b, Location where = Location::here()) const {
    return add_layer_norm(a, b, gain, bias, 1e-5, where);
  }
};

/// A feed-forward block: down(gelu(up(x))), with biases.
template <Index Width, Index Hidden, class Policy = Float32<Cpu>>
struct Mlp {
  Linear<Width, Hidden, Policy> up;
  Linear<Hidden, Width, Policy> down;

  static Mlp sized(Index width, Index hidden, Initializer up = init::fan_in(),
                   Initializer down = init::fan_in()) {
    return {Linear<Width, Hidden, Policy>::sized(width, hidden, up),
            Linear<Hidden, Width, Policy>::sized(hidden, width, down)};
  }
  auto operator()(const auto& x, Location where = Location::here()) const {
    using C = typename Policy::compute;
    return feed_forward(x, cast<C>(up.weight), cast<C>(up.bias), cast<C>(down.weight), cast<C>(down.bias),
                        where);
  }
};

/// A gated feed-forward block (Shazeer 2020, "GLU variants"): down(gate_function(gate(x)) * up(x)), without
/// biases. GateFunction is an elementwise functor.
template <Index Width, Index Hidden, class GateFunction, class Policy = Float32<Cpu>>
struct GluMlp {
  Projection<Width, Hidden, Policy> gate, up;
  Projection<Hidden, Width, Policy> down;

  static GluMlp sized(Index width, Index hidden, Initializer in = init::fan_in(),
                      Initializer out = init::fan_in()) {
    return {Projection<Width, Hidden, Policy>::sized(width, hidden, in),
            Projection<Width, Hidden, Policy>::sized(width, hidden, in),
            Projection<Hidden, Width, Policy>::sized(hidden, width, out)};
  }
  auto operator()(const auto& x, Location where = Location::here()) const {
    const auto in = operand(tape_of(x), x);
    return down(map(GateFunction{}, gate(in, where)) * up(in, where), where);
  }
};

/// down(silu(gate(x)) * up(x)), as in Llama and PaLM.
template <Index Width, Index Hidden, class Policy = Float32<Cpu>>
using SwiGlu = GluMlp<Width, Hidden, functors::Silu, Policy>;
/// down(gelu(gate(x)) * up(x)), as in T5 1.1 and Gemma.
template <Index Width, Index Hidden, class Policy = Float32<Cpu>>
using GeGlu = GluMlp<Width, Hidden, functors::Gelu, Policy>;

}  // namespace burrow
