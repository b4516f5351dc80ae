#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/ops/rms_norm/rms_norm.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

namespace {

template <class T, class G, class S, class S2>
Tensor<double, S> reference(const Tensor<T, S>& x, const Tensor<G, S2>& gain, double epsilon) {
  Tensor<double, S> y{x.shape()};
  const Index width = row_width(x.shape());
  for (Index r = 0; r < row_count(x.shape()); ++r) {
    const T* const row = x.data() + r * width;
    double squares = 0;
    for (Index i = 0; i < width; ++i) squares += static_cast<double>(row[i]) * static_cast<double>(row[i]);
    for (Index i = 0; i < width; ++i)
      y.data()[r * width + i] = static_cast<double>(gain.data()[i]) * static_cast<double>(row[i]) /
                                std::sqrt(squares / static_cast<double>(width) + epsilon);
  }
  return y;
}

template <class T, class G, class S, class S2>
void agrees(const S& shape, const S2& features, double scale = 1) {
  CAPTURE(shape.text(), dtype_name<T>(), dtype_name<G>(), scale);
  const auto x = random<T>(1, shape, scale);
  const auto gain = random<G>(2, features);
  const auto y = rms_norm(x, gain);
  STATIC_REQUIRE(std::same_as<decltype(y), const Tensor<T, S>>);
  CHECK(distance(y, reference(x, gain, 1e-5)) <= tolerance<T>());
  CHECK(distance(rms_norm(x, gain, 0.25), reference(x, gain, 0.25)) <= tolerance<T>());
}

}  // namespace

TEMPLATE_TEST_CASE("rms_norm agrees with its definition", "[rms_norm]", double, float, bf16) {
  using G = std::conditional_t<std::same_as<TestType, bf16>, float, TestType>;
  agrees<TestType, G>(Shape<1>{}, Shape<1>{});
  agrees<TestType, TestType>(Shape<33>{}, Shape<33>{});
  agrees<TestType, G>(Shape<2, 3, 13>{}, Shape<13>{});
  agrees<TestType, G>(Shape<dyn, 2, 17>{{3, 2, 17}}, Shape<dyn>{{17}});
  for (const Index width : widths)
    for (const double scale : {1e-3, 1.0, 1e4})
      agrees<TestType, G>(Shape<dyn, dyn>{{4, width}}, Shape<dyn>{{width}}, scale);
}

TEST_CASE("rms_norm makes the mean square of each row one", "[rms_norm]") {
  const auto y = rms_norm(random<double>(3, Shape<5, 40>{}, 100), ones<Shape<40>, double>());
  for (Index r = 0; r < 5; ++r) {
    double squares = 0;
    for (Index i = 0; i < 40; ++i) squares += y(r, i) * y(r, i);
    CHECK(squares / 40 == Approx(1).epsilon(1e-8));
  }
  CHECK(rms_norm(zeros<Shape<2, 3>>(), ones<Shape<3>>())(1, 2) == 0.0f);
}

TEST_CASE("gradients of rms_norm agree with differences", "[rms_norm]") {
  // A large epsilon, as rows of one element bend too sharply at 0 for differences.
  const auto f = [](const auto& x, const auto& gain) { return rms_norm(x, gain, 0.1); };
  CHECK(gradient_error(f, random<double>(5, Shape<2, 3, 5>{}), random<double>(6, Shape<5>{})) <= 1e-8);
  CHECK(gradient_error(f, random<double>(5, Shape<9>{}), random<double>(6, Shape<9>{})) <= 1e-8);
  for (const Index width : widths) {
    if (width > 40) continue;
    const auto x = random<double>(7, Shape<dyn, dyn>{{4, width}});
    const auto gain = random<double>(8, Shape<dyn>{{width}});
    CHECK(gradient_error(f, x, gain) <= 1e-8);
    CHECK(gradient_error([&](const auto& v, const auto& g) { return v * v + f(2.0 * v, g * g); }, x, gain) <=
          1e-8);
  }
}

TEST_CASE("rms_norm adds up gradients of one value in two places", "[rms_norm]") {
  CHECK(gradient_error([](const auto& v) { return rms_norm(v, v); }, random<double>(9, Shape<7>{})) <= 1e-8);
  CHECK(gradient_error([](const auto& v) { return rms_norm(v, at<0>(v, 1)); },
                       random<double>(9, Shape<3, 7>{})) <= 1e-8);
}

TEST_CASE("gradients of rms_norm in bf16 are those of double, rounded", "[rms_norm]") {
  const auto narrow = random<bf16>(10, Shape<40, 65>{});
  const auto gain = random<float>(11, Shape<65>{});
  const auto dy = random<bf16>(12, Shape<40, 65>{});
  const auto gradients = [](const auto& x, const auto& g, const auto& seed) {
    Tape tape;
    const auto watched = tape.watch(x);
    const auto watched_gain = tape.watch(g);
    tape.backward(rms_norm(watched, watched_gain), seed);
    return std::pair{tape.gradient(watched), tape.gradient(watched_gain)};
  };
  const auto got = gradients(narrow, gain, dy);
  const auto expected =
      gradients(Tensor(cast<double>(narrow)), Tensor(cast<double>(gain)), Tensor(cast<double>(dy)));
  CHECK(distance(got.first, expected.first) <= 1e-2);
  CHECK(distance(got.second, expected.second) <= 1e-5);  // summed in fp32, not in bf16
}

TEST_CASE("a parameter's gain collects its gradient where the model keeps it", "[rms_norm]") {
  auto store = std::make_shared<detail::ParameterStore>();
  store->storage = Buffer<Cpu>{10 * Index{sizeof(double)}};
  store->size = 10;
  Parameter<double, Shape<6>> gain;
  gain.place(store, 3);
  std::fill_n(gain.data(), 6, 1.5);
  const auto x = random<double>(13, Shape<4, 6>{});
  std::array<double, 10> collected;
  collected.fill(100);
  {
    Tape tape{Tape::Inputs::constant};
    tape.differentiate(*store, collected.data());
    tape.backward(sum(rms_norm(tape.watch(x), gain)));
    CHECK_THROWS_WITH(rms_norm(x, gain), Contains("gradient would be lost"));
  }
  const auto n = reference(x, ones<Shape<6>, double>(), 1e-5);
  for (Index i = 0; i < 6; ++i)
    CHECK(collected[static_cast<std::size_t>(3 + i)] ==
          Approx(100 + n(0, i) + n(1, i) + n(2, i) + n(3, i)).epsilon(1e-12));
  CHECK(collected[2] == 100);
  CHECK(collected[9] == 100);
  CHECK(rms_norm(x, gain)(0, 0) == Approx(1.5 * n(0, 0)));
}

TEST_CASE("a gain of another run-time extent is an error that names both shapes", "[rms_norm]") {
  const auto x = random<float>(14, Shape<dyn, dyn>{{2, 8}});
  const auto gain = random<float>(15, Shape<5>{});
  CHECK_THROWS_AS(rms_norm(x, gain), ShapeError);
  CHECK_THROWS_WITH(rms_norm(x, gain),
                    Contains("rms_norm: gain Shape<5> does not fit the last axis of Shape<2, 8>") &&
                        Contains("rms_norm_test.cpp:"));
}

TEST_CASE("rms_norm does not depend on the number of threads", "[rms_norm]") {
  const auto x = random<float>(16, Shape<dyn, dyn>{{401, 513}});
  const auto gain = random<float>(17, Shape<513>{});
  const auto run = [&] {
    Tape tape;
    const auto watched = tape.watch(x);
    const auto watched_gain = tape.watch(gain);
    const auto y = rms_norm(watched, watched_gain);
    tape.backward(sum(y * y * y));
    return std::tuple{y.value(), tape.gradient(watched), tape.gradient(watched_gain)};
  };
  CHECK(thread_independent(run, [](const auto& a, const auto& b) {
    return same_bits(std::get<0>(a), std::get<0>(b)) && same_bits(std::get<1>(a), std::get<1>(b)) &&
           same_bits(std::get<2>(a), std::get<2>(b));
  }));
}

TEST_CASE("no rows give no gradient to the gain", "[rms_norm]") {
  Tape tape;
  const auto gain = tape.watch(ones<Shape<3>>());
  tape.backward(sum(rms_norm(tape.watch(Tensor<float, Shape<0, 3>>{}), gain)));
  CHECK(tape.gradient(gain)(1) == 0.0f);
}
