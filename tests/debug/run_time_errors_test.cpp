// What is wrong at run time is said in one sentence: a table of misuses and their messages.
#include <burrow/burrow.hpp>
#include <burrow/io/model.hpp>
#include <burrow/io/npz.hpp>
#include <burrow/ops/linear_algebra/linear_algebra.hpp>
#include <catch2/catch.hpp>
#include <functional>

using namespace burrow;

namespace {

using Matrix = Tensor<float, Shape<dyn, dyn>>;

Matrix matrix(Index rows, Index columns) { return ones<Shape<dyn, dyn>>(Shape<dyn, dyn>{{rows, columns}}); }

/// The message of what f throws, without the call site; "nothing" where it does not throw.
template <class F>
std::string message(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    const std::string text = error.what();
    return text.substr(0, text.rfind(" [run_time_errors_test.cpp:"));
  }
  return "nothing";
}

}  // namespace

TEST_CASE("misuse at run time has a message that names the operation and the shapes", "[debug]") {
  const auto a = matrix(2, 3), b = matrix(4, 3);
  const Tensor<std::int32_t, Shape<dyn>> ids{Shape<dyn>{{2}}, std::vector<std::int32_t>{0, 7}};
  CHECK(message([&] { materialize(a + b); }) ==
        "operator+: Shape<2, 3> and Shape<4, 3> do not broadcast (only a static 1 does)");
  CHECK(message([&] { materialize(where(a < 1, a, b)); }) ==
        "where: Shape<2, 3> and Shape<4, 3> do not broadcast (only a static 1 does)");
  CHECK(message([&] { maximum(a, b); }) ==
        "maximum: Shape<2, 3> and Shape<4, 3> do not broadcast (only a static 1 does)");
  CHECK(message([&] { matmul(a, b); }) == "matmul: extents differ: Shape<2, 3> x Shape<4, 3>");
  CHECK(message([&] { reshape(a, Shape<dyn>{{5}}); }) ==
        "reshape: Shape<2, 3> has not as many elements as Shape<5>");
  CHECK(message([&] { a.item(); }) == "item: Shape<2, 3> has not exactly one element");
  CHECK(message([&] { Shape<dyn, 3>{{2, 4}}; }) == "Shape: Shape<2, 4> does not fit Shape<dyn, 3>");
  CHECK(message([&] { embedding(a, ids); }) ==
        "embedding: id 7 at position (1) of Shape<2> is not in [0, 2)");
  CHECK(message([&] { cross_entropy(b, ids); }) ==
        "cross_entropy: targets Shape<2> do not fit the rows of logits Shape<4, 3>");
  CHECK(message([&] { rms_norm(a, Tensor<float, Shape<dyn>>{Shape<dyn>{{5}}}); }) ==
        "rms_norm: gain Shape<5> does not fit the last axis of Shape<2, 3>");
  CHECK(message([&] {
          Tape tape;
          tape.backward(materialize(tape.watch(a) * 2));
        }) == "backward: the loss has Shape<2, 3> and no seed is given; reduce it to one element");
  CHECK(message([&] {
          Tape tape;
          tape.gradient(tape.watch(a));
        }) == "gradient: this tape has not run backward");
  CHECK(message([] { Projection<2, 3>{}(ones<Shape<1, 2>>()); }) ==
        "parameter of Shape<2, 3> has no elements yet; make the model with build<Model>(key)");
}

namespace {

/// A call that must throw, and the line in which it stands.
struct Misuse {
  Misuse(const char* t, int l, std::function<void()> c) : text{t}, line{l}, call{std::move(c)} {}

  const char* text;
  int line;
  std::function<void()> call;
};

#define MISUSE(...) Misuse(#__VA_ARGS__, __LINE__, [&] { static_cast<void>(__VA_ARGS__); })

/// Every call throws an error whose message ends with the line of the call.
void check_lines(const std::vector<Misuse>& misuses) {
  for (const Misuse& misuse : misuses) {
    INFO(misuse.text);
    const std::string line = " [run_time_errors_test.cpp:" + std::to_string(misuse.line) + "]";
    CHECK_THROWS_WITH(misuse.call(), Catch::Matchers::EndsWith(line));
  }
}

using Vector = Tensor<float, Shape<dyn>>;
Vector vector(Index size) { return ones<Shape<dyn>>(Shape<dyn>{{size}}); }

}  // namespace

TEST_CASE("operators of run-time extents name the line of their call", "[debug]") {
  const auto a = matrix(2, 3), b = matrix(4, 3);
  const auto i = cast<std::int32_t>(a), j = cast<std::int32_t>(b);
  const Tensor<float, Shape<4, 3>> fixed{ones<Shape<4, 3>>()};
  Tape tape;
  const auto x = tape.watch(a);
  auto c = a;
  Tensor<float, Shape<4, 3>> d;
  check_lines(
      {MISUSE(a + b), MISUSE(a - b), MISUSE(a * b), MISUSE(a / b), MISUSE(a < b), MISUSE(a <= b),
       MISUSE(a > b), MISUSE(a >= b), MISUSE(a == b), MISUSE(a != b), MISUSE(i & j), MISUSE(i | j),
       MISUSE(i ^ j), MISUSE(i << j), MISUSE(i >> j), MISUSE((a < 1) && (b < 1)), MISUSE((a < 1) || (b < 1)),
       // operands of different types, of which one has static extents
       MISUSE(a + fixed), MISUSE(fixed + a), MISUSE(a == fixed), MISUSE(fixed == a), MISUSE(fixed != a),
       MISUSE(fixed > a), MISUSE(a * 2 == b), MISUSE(b == a * 2), MISUSE(a * 2 != b), MISUSE(b != a * 2),
       MISUSE(exp(a) * 2 + b), MISUSE(b * (exp(a) * 2)), MISUSE(x + b), MISUSE(b + x), MISUSE(x == b),
       MISUSE(b == x), MISUSE(transpose(a) + transpose(b)),
       // what is written
       MISUSE(c += b), MISUSE(c -= b), MISUSE(c += fixed), MISUSE(d += a), MISUSE(d = a), MISUSE(d = exp(a)),
       MISUSE(part(c, whole_axis) = b), MISUSE(part(c, whole_axis) += b), MISUSE(part(c, 5) = 1),
       MISUSE(assign(c, b)), MISUSE(c = a + b)});
}

TEST_CASE("functions of run-time extents name the line of their call", "[debug]") {
  const auto a = matrix(2, 3), b = matrix(4, 3);
  const auto v = vector(5);
  const Tensor<std::int32_t, Shape<dyn>> ids{Shape<dyn>{{2}}, std::vector<std::int32_t>{0, 7}};
  const Tensor<float, Shape<dyn, dyn, dyn>> cube{Shape<dyn, dyn, dyn>{{2, 3, 5}}};
  const auto product = elementwise([](auto x, auto y) { return x * y; });
  const Tensor<float, Shape<2, 2>> ragged{1, 1, 2, 2};
  check_lines(
      {MISUSE(maximum(a, b)), MISUSE(minimum(a, b)), MISUSE(pow(a, b)), MISUSE(atan2(a, b)),
       MISUSE(hypot(a, b)), MISUSE(fmod(a, b)), MISUSE(remainder(a, b)), MISUSE(floor_divide(a, b)),
       MISUSE(clamp(a, b, 1)), MISUSE(clamp(a, 1, b)), MISUSE(where(a < 1, a, b)), MISUSE(leaky_relu(a, b)),
       MISUSE(elu(a, b)), MISUSE(product(a, b)), MISUSE(map(functors::Add{}, a, b)),
       // views and shapes
       MISUSE(view(a, 2)), MISUSE(view(a, -3)), MISUSE(view(a, range(0, 2, 0))), MISUSE(at<0>(a, 2)),
       MISUSE(slice<0>(a, 1, 2)), MISUSE(split<2, 1>(a)), MISUSE(reshape(a, Shape<dyn>{{5}})),
       MISUSE(squeeze<0>(a)), MISUSE(broadcast_to(v, Shape<dyn, dyn>{{2, 3}})), MISUSE(a.item()),
       MISUSE(Shape<dyn, 3>{{2, 4}}), MISUSE(broadcast(a.shape(), b.shape())),
       MISUSE(Vector(Shape<dyn>{{2}}, std::vector<float>{1})), MISUSE(Tensor<float, Shape<4, 3>>(a)),
       MISUSE(arange(0, 5, 0)), MISUSE(pad(a, {{{-1, 0}, {0, 0}}})),
       // operations
       MISUSE(matmul(a, b)), MISUSE(linear(a, b, v)), MISUSE(einsum<"ij,jk->ik">(a, b)),
       MISUSE(concatenate<0>(a, matrix(1, 2))), MISUSE(stack<0>(a, b)), MISUSE(gather<0>(a, ids)),
       MISUSE(embedding(a, ids)), MISUSE(scatter_add<0>(a, ids, b)), MISUSE(one_hot<3>(ids)),
       MISUSE(topk<1>(a, 4)), MISUSE(argmax<0>(matrix(0, 3))), MISUSE(rms_norm(a, v)),
       MISUSE(layer_norm(a, v, v)), MISUSE(cross_entropy(b, ids)), MISUSE(dropout(a, Key{1}, 2.0)),
       MISUSE(causal_attention(cube, cube, cube, 2)), MISUSE(rotary(cube, 2)), MISUSE(sinusoids<dyn>(2, 3)),
       MISUSE(binary_cross_entropy(a, b)), MISUSE(soft_cross_entropy(a, b)),
       MISUSE(smoothed_labels<3>(ids, 0.1)), MISUSE(masked_select(a, b < 1)), MISUSE(bincount<3>(ids)),
       MISUSE(histogram(v, vector(1))), MISUSE(quantile(a, 2.0)),
       MISUSE(vmap([](const auto& x) { return slice<0>(x, 0, static_cast<Index>(x(0))); })(ragged)),
       MISUSE(quantile<0>(a, -1.0)), MISUSE(median(vector(0))),
       // linear algebra
       MISUSE(solve(a, v)), MISUSE(solve(matrix(2, 2), vector(2))), MISUSE(inverse(a)),
       MISUSE(inverse(matrix(2, 2))), MISUSE(determinant(a)), MISUSE(log_determinant(a)), MISUSE(cholesky(a)),
       MISUSE(cholesky(-matrix(2, 2))), MISUSE(solve_lower(a, v)), MISUSE(solve_upper(matrix(2, 2), v))});
}

TEST_CASE("tapes, models and optimizers name the line of their call", "[debug]") {
  const auto a = matrix(2, 3);
  Tape tape;
  const auto x = tape.watch(a);
  const auto model = build(Linear<dyn, dyn>::sized(4, 2), Key{1});
  auto other = build(Linear<dyn, dyn>::sized(5, 2), Key{1});
  auto optimizer = Adam{other, {.learning_rate = 1e-3}};
  const auto gradient =
      value_and_grad(model, [&](Tape& t) { return sum(model(t.watch(matrix(1, 4)))); }).second;
  ParameterAverage average{model};
  AttentionCache<dyn, float> cache{1, 4};
  const std::vector<float> three(3);
  const std::vector twice(2, tensor_entry<float>("x", {3}, three));
  const std::vector arrays(2, NamedArray{"x", {StoredType::f32, {3}, std::as_bytes(std::span{three})}});
  const Tensor<float, Shape<1, dyn, dyn>> tokens{Shape<1, dyn, dyn>{{1, 2, 4}}};
  const auto loss = [&](Tape& t) { return model(t.watch(matrix(1, 4))); };
  using Unbuilt = Linear<2, 3>;
  const auto batch_norm = build(BatchNorm<dyn>::sized(4), Key{1});
  const BatchStatistics statistics;
  const auto group_norm = build<GroupNorm<4, 2>>(Key{1});
  const auto switched = build<SwitchMixture<Mlp<4, 4>, 4, 2>>(Key{1});
  const auto mixture = build<TopKMixture<Mlp<4, 4>, 4, 2, 1>>(Key{1});
  const auto attention = build(GroupedQueryAttention<dyn, dyn, dyn>::sized(6, 2, 2), Key{1});
  const auto relative = build(RelativeAttention<dyn, dyn, dyn>::sized(3, 1, 2), Key{1});
  check_lines({MISUSE(tape.backward(materialize(x * 2))),
               MISUSE(tape.gradient(x)),
               MISUSE(dual(a, matrix(1, 1))),
               MISUSE(add_gradient(x, matrix(4, 3))),
               MISUSE(add_gradient(x * 2, matrix(4, 3))),
               MISUSE(value_and_grad(model, loss)),
               MISUSE(value_and_grad(Unbuilt{}, loss)),
               MISUSE(Gradient<Unbuilt>{Unbuilt{}}),
               MISUSE(model(a)),
               MISUSE(model(x)),
               MISUSE(build(Linear<dyn, dyn>{}, Key{1})),
               MISUSE(parameters(Linear<2, 3>{})),
               MISUSE(clone(Linear<2, 3>{})),
               MISUSE(copy_parameters(model, other)),
               MISUSE(save("never.safetensors", Linear<2, 3>{})),
               MISUSE(write_safetensors("never.safetensors", twice)),
               MISUSE(write_npy<float>("never.npy", {2}, three)),
               MISUSE(write_npz("never.npz", arrays)),
               MISUSE(cache.append(tokens, tokens)),
               MISUSE(PositionEmbedding<dyn, dyn>::sized(1, 3)(a)),
               MISUSE(batch_norm(a)),
               MISUSE(batch_norm(a, statistics)),
               MISUSE(group_norm(a)),
               MISUSE(switched(a)),
               MISUSE(mixture(a)),
               MISUSE(attention(Tensor<float, Shape<dyn, dyn, dyn>>{Shape<dyn, dyn, dyn>{{1, 2, 6}}})),
               MISUSE(relative(Tensor<float, Shape<dyn, dyn, dyn>>{Shape<dyn, dyn, dyn>{{1, 2, 3}}})),
               MISUSE(optimizer.step(other, gradient)),
               MISUSE(Adam{Unbuilt{}, {.learning_rate = 1}}),
               MISUSE(decay_matrices_only(Unbuilt{})),
               MISUSE(ParameterAverage{Unbuilt{}}),
               MISUSE(Adam{model, {.learning_rate = -1}}),
               MISUSE(Sgd{model, {.learning_rate = 1, .momentum = 2}}),
               MISUSE(Lion{model, {.beta1 = 2}}),
               MISUSE(parameter_groups(model, named("nobody", {.weight_decay = 0}))),
               MISUSE(named("*", {.weight_decay = -1})),
               MISUSE(average.update(other)),
               MISUSE(ParameterAverage{model, {.decay = 2}}),
               MISUSE(clip_factor(1, 0)),
               MISUSE(LinearSchedule(0, 1, -1)),
               MISUSE(warmup(-1, ConstantSchedule{1})),
               MISUSE(warmup_cosine({.peak = 1, .total_steps = 1, .warmup_steps = 2}))});
}
