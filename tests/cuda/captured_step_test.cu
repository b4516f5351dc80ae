// Steps without waits: checks of ids whose verdict comes later, and steps that are captured and replayed.
#include <catch2/catch.hpp>

#include <burrow/autodiff/cuda.cuh>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/core/captured_step.cuh>
#include <burrow/nn/combinators.hpp>
#include <burrow/nn/dropout.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/ops/dropout/cuda.cuh>
#include <burrow/ops/gather/cuda.cuh>
#include <burrow/ops/linear_cross_entropy/cuda.cuh>
#include <burrow/ops/matmul/cuda.cuh>
#include <burrow/ops/one_hot/one_hot.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/cuda.cuh>

#include "tests/cuda/close.hpp"

namespace {

using namespace burrow;

using Ids = Tensor<std::int32_t, Shape<2, 3>>;

/// A classifier of sequences of words, with dropout.
template <class Policy>
struct Words {
  Embedding<11, 8, Policy> embedding;
  Linear<8, 12, Policy> up;
  Dropout dropout;
  Linear<12, 11, Policy> down;

  auto loss(const auto& ids, const auto& targets, auto key) const {
    const auto h = dropout(gelu(up(embedding(ids))), key.fold_in(1));
    return cross_entropy(down(h), targets);
  }
};

Ids ids_of(std::uint64_t seed) { return Tensor(cast<std::int32_t>(uniform<Shape<2, 3>>(Key{seed}) * 11)); }

template <class T, class S>
std::vector<T> bits(const Tensor<T, S, Cuda>& x) {
  const auto on_host = to<Cpu>(x);
  return {on_host.data(), on_host.data() + on_host.size()};
}

/// A training run whose steps are captured, or are not: what each step lost, and all that it left.
template <class Policy>
class Run {
 public:
  Run()
      : model_{build<Words<Policy>>(Key{3})},
        optimizer_{model_,
                   {.bf16_update = std::same_as<typename Policy::parameter, bf16> ? Bf16Update::stochastic
                                                                                  : Bf16Update::fp32_copy,
                    .key = Key{9}}} {}

  auto step() {
    const auto [loss, gradient] = value_and_grad(model_, [&](Tape& tape) {
      return cast<float>(model_.loss(tape.watch(inputs_), targets_, live(key_)).mean());
    });
    const auto norm = global_norm<Cuda>(gradient.values());
    optimizer_.step(model_, gradient,
                    {.learning_rate = live(rate_), .gradient_factor = clip_factor(norm, 0.8)});
    return std::pair{loss, norm};
  }

  void prepare(int number) {
    rate_ = 0.1 / (1 + number);
    key_ = Key{5}.fold_in(static_cast<std::uint64_t>(number));
    assign(inputs_, ids_of(static_cast<std::uint64_t>(number)));
    assign(targets_, ids_of(static_cast<std::uint64_t>(number) + 100));
  }

  std::vector<float> parameters_now() const {
    const auto flat = parameters(model_).values();
    using T = typename Policy::parameter;
    std::vector<T> values(flat.size());
    detail::copy_bytes(Cuda{}, Cpu{}, values.data(), flat.data(),
                       static_cast<Index>(flat.size() * sizeof(T)));
    return {values.begin(), values.end()};
  }

 private:
  Words<Policy> model_;
  Adam<Words<Policy>> optimizer_;
  Tensor<std::int32_t, Shape<2, 3>, Cuda> inputs_, targets_;
  double rate_ = 0;
  Key key_;
};

/// Takes memory of every size that a step uses from the pool, fills it with NaN, and gives it back.
void spoil_free_memory() {
  std::vector<Buffer<Cuda>> taken;
  for (Index bytes = 64; bytes <= 4096; bytes += 64)
    for (int i = 0; i < 8; ++i) {
      taken.emplace_back(bytes);
      detail::fill(Cuda{}, static_cast<float*>(taken.back().data()), bytes / 4,
                   std::numeric_limits<float>::quiet_NaN());
    }
}

template <class Policy>
void check_replays() {
  Run<Policy> usual, captured;
  cuda::CapturedStep step{[&] { return captured.step(); }};
  for (int number = 0; number < 5; ++number) {
    usual.prepare(number);
    captured.prepare(number);
    const auto [expected, expected_norm] = usual.step();
    const auto& [loss, norm] = step();
    spoil_free_memory();
    CAPTURE(number);
    CHECK(float{loss} == float{expected});
    CHECK(double{norm} == double{expected_norm});
    CHECK(captured.parameters_now() == usual.parameters_now());
  }
}

}  // namespace

TEST_CASE("a captured step that is replayed has the bits of one that is not", "[cuda]") {
  check_replays<Float32<Cuda>>();
  check_replays<MixedBf16<Cuda>>();
  check_replays<Bf16<Cuda>>();
}

TEST_CASE("a replay waits for nothing and allocates nothing", "[cuda]") {
  Run<Float32<Cuda>> run;
  cuda::CapturedStep step{[&] { return run.step(); }};
  for (int number = 0; number < 3; ++number) {
    run.prepare(number);
    step();
  }
  const Index waits = cuda::synchronizations();
  const auto memory = memory_statistics<Cuda>();
  for (int number = 3; number < 6; ++number) {
    run.prepare(number);
    step();
  }
  CHECK(cuda::synchronizations() == waits);
  CHECK(memory_statistics<Cuda>().system_allocations == memory.system_allocations);
  CHECK(memory_statistics<Cuda>().bytes_in_use == memory.bytes_in_use);
}

TEST_CASE("what changes from replay to replay lies apart from what a step computes in", "[cuda]") {
  const auto x = to<Cuda>(uniform<Shape<4096>>(Key{1}));  // as many bytes as a piece of what changes has
  Key key;
  const auto compute = [&] {
    { const Tensor twice(x * 2), thrice(x * 3); }  // their memory is free again
    return dropout(x, live(key), 0.5);
  };
  cuda::CapturedStep step{compute};
  for (std::uint64_t number = 0; number < 4; ++number) {
    key = Key{number};
    CHECK(bits(step()) == bits(compute()));
  }
}

TEST_CASE("memory of a captured step returns to the pool with it", "[cuda]") {
  Run<Float32<Cuda>> run;
  const auto before = memory_statistics<Cuda>().bytes_in_use;
  std::optional<Tensor<float, Shape<>, Cuda>> kept;
  {
    cuda::CapturedStep step{[&] { return run.step(); }};
    for (int number = 0; number < 2; ++number) {
      run.prepare(number);
      kept = step().first.tensor();
    }
    CHECK(memory_statistics<Cuda>().bytes_in_use > before);
  }
  const float last = kept->item();
  spoil_free_memory();
  CHECK(kept->item() == last);
  kept.reset();
  run.prepare(2);
  (void)run.step();
  CHECK(memory_statistics<Cuda>().bytes_in_use <= before + 8192);  // the optimizer's state
}

TEST_CASE("a captured step refuses to wait and to copy from the host, and the device goes on", "[cuda]") {
  const auto x = to<Cuda>(normal<Shape<4>>(Key{1}));
  cuda::CapturedStep waits{[&] { return sum(x).item(); }};
  CHECK(waits() == sum(x).item());
  CHECK_THROWS_WITH(waits(), Catch::Contains("a copy from the device in a step that is captured: the host "
                                             "cannot wait"));
  cuda::CapturedStep copies{[&] { return Tensor(x + to<Cuda>(normal<Shape<4>>(Key{2}))); }};
  copies();
  CHECK_THROWS_WITH(copies(), Catch::Contains("a copy to the device in a step that is captured"));
  CHECK(to<Cpu>(x).size() == 4);
}

TEST_CASE("values are assigned in place", "[cuda]") {
  auto x = to<Cuda>(normal<Shape<3, 4>>(Key{1}));
  const auto* const at = std::as_const(x).data();
  assign(x, normal<Shape<3, 4>>(Key{2}));
  CHECK(distance(x, normal<Shape<3, 4>>(Key{2})) == 0);
  const auto y = to<Cuda>(normal<Shape<3, 4>>(Key{3}));
  assign(x, y * 2);
  CHECK(distance(x, normal<Shape<3, 4>>(Key{3}) * 2) == 0);
  CHECK(std::as_const(x).data() == at);
  const auto shared = x;
  CHECK_THROWS_WITH(assign(x, y), Catch::Contains("assign: the elements of the tensor are shared"));
  Tensor<float, Shape<dyn>, Cuda> z{Shape<dyn>{{3}}};
  CHECK_THROWS_WITH(assign(z, to<Cuda>(normal<Shape<dyn>>(Key{1}, Shape<dyn>{{4}}))),
                    Catch::Contains("assign: values Shape<4> for a tensor Shape<3>"));
}

TEST_CASE("an id out of range is refused at the next wait, in the CPU's words", "[cuda]") {
  const Ids wrong{4, 0, 11, 1, -2, 2};
  const auto table = normal<Shape<11, 5>>(Key{1});
  const auto message = [](const auto& compute) {
    try {
      compute();
    } catch (const ValueError& error) {
      const std::string text = error.what();
      return text.substr(0, text.rfind(" ["));
    }
    return std::string{"nothing was refused"};
  };
  const auto compare = [&](const auto& compute) {
    const std::string expected = message([&] { (void)compute(table, wrong); });
    CHECK(expected.find("is not in [0, ") != std::string::npos);
    const auto on_device = to<Cuda>(table);
    const auto ids = to<Cuda>(wrong);
    const Index waits = cuda::synchronizations();
    CHECK_NOTHROW(compute(on_device, ids));
    CHECK(cuda::synchronizations() == waits);
    CHECK(message([] { cuda::synchronize(); }) == expected);
    CHECK_NOTHROW(cuda::synchronize());
    cuda::check_at_once(true);
    CHECK(message([&] { (void)compute(on_device, ids); }) == expected);
    cuda::check_at_once(false);
  };
  compare([](const auto& t, const auto& ids) { return embedding(t, ids); });
  compare([](const auto& t, const auto& ids) { return gather<0>(t, ids); });
  compare([](const auto& t, const auto& ids) {
    return scatter_add<0>(t, ids, zeros<Shape<2, 3, 5>, float, device_of<decltype(t)>>());
  });
  compare([](const auto&, const auto& ids) { return one_hot<11>(ids); });
  compare([](const auto& t, const auto& ids) {
    return cross_entropy(zeros<Shape<2, 3, 11>, float, device_of<decltype(t)>>(), ids).sum;
  });
  compare([](const auto& t, const auto& ids) {
    return linear_cross_entropy(zeros<Shape<2, 3, 5>, float, device_of<decltype(t)>>(), t, ids).sum;
  });
}
