#include <burrow/autodiff/checkpoint.hpp>
#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/nn/dropout.hpp>
#include <catch2/catch.hpp>

#include "tests/ops/compare.hpp"

using namespace ops_test;
using Catch::Matchers::Contains;

TEST_CASE("dropout drops the share of its rate and keeps the mean", "[dropout]") {
  const auto x = ones<Shape<dyn>, double>(Shape<dyn>{{40000}});
  for (const double rate : {0.1, 0.5, 0.9}) {
    const auto y = dropout(x, Key{1}, rate);
    Index dropped = 0, others = 0;
    for (const double value : y.values()) {
      dropped += value == 0 ? 1 : 0;
      others += value == 0 || value == 1 / (1 - rate) ? 0 : 1;
    }
    CHECK(others == 0);
    CHECK(static_cast<double>(dropped) / 40000 == Approx(rate).margin(0.01));
    CHECK(mean(y).item() == Approx(1).margin(0.05));
  }
  CHECK(same_bits(dropout(x, Key{1}, 0), x));
}

TEST_CASE("what is dropped depends on the key and the index only", "[dropout]") {
  const auto x = random<float>(1, Shape<dyn, dyn>{{31, 7}});
  const auto y = dropout(x, Key{2}, 0.5);
  CHECK(same_bits(y, dropout(x * 1.0f, Key{2}, 0.5)));
  CHECK_FALSE(same_bits(y, dropout(x, Key{3}, 0.5)));
  const auto fewer = dropout(Tensor(slice<0>(x, 0, 5)), Key{2}, 0.5);
  CHECK(std::memcmp(y.data(), fewer.data(), sizeof(float) * 35) == 0);
  for (Index i = 0; i < y.size(); ++i)
    CHECK(y.data()[i] == (Key{2}.bits(static_cast<std::uint64_t>(i)) < 0x80000000u ? 0 : 2 * x.data()[i]));
  CHECK(thread_independent([&] { return dropout(x, Key{2}, 0.3); },
                           [](const auto& a, const auto& b) { return same_bits(a, b); }));
}

TEST_CASE("parts of the rows lose the elements that they lose in the whole", "[dropout]") {
  const auto x = random<float>(1, Shape<dyn, dyn, dyn>{{3, 12, 7}});
  const auto whole = dropout(x, Key{2}, 0.5);
  for (const int parts : {1, 2, 3, 4})
    for (int part = 0; part < parts; ++part) {
      Dropout layer{0.5};
      layer.take_rows(part, parts);
      const Index rows = 12 / parts;
      const auto own = layer(Tensor(slice<1>(x, part * rows, rows)), Key{2});
      CHECK(same_bits(own, Tensor(slice<1>(whole, part * rows, rows))));
    }
  Dropout second{0.4};
  second.take_rows(1, 2);
  CHECK(gradient_error([&](const auto& a) { return second(tanh(a), Key{4}); },
                       random<double>(2, Shape<2, 3, 5>{})) <= 1e-9);
}

TEST_CASE("the gradient drops the same elements, again when rematerialised", "[dropout]") {
  const auto x = random<double>(2, Shape<3, 5>{});
  const auto f = [](const auto& a) { return dropout(tanh(a), Key{4}, 0.4); };
  CHECK(gradient_error(f, x) <= 1e-9);
  CHECK(gradient_error([&](const auto& a) { return checkpoint(f, a); }, x) <= 1e-9);
  const auto narrow = random<bf16>(3, Shape<2, 9>{});
  CHECK(distance(dropout(narrow, Key{4}, 0.5), dropout(Tensor(cast<double>(narrow)), Key{4}, 0.5)) <= 1e-2);
}

TEST_CASE("a live key is read when dropout runs, the same in the backward pass", "[dropout]") {
  const auto x = random<float>(1, Shape<dyn, dyn>{{31, 7}});
  Key key{5};
  const auto draws = live(key).fold_in(1).fold_in(2);
  CHECK(same_bits(dropout(x, draws, 0.5), dropout(x, key.fold_in(1).fold_in(2), 0.5)));
  key = Key{6};
  CHECK(same_bits(dropout(x, draws, 0.5), dropout(x, Key{6}.fold_in(1).fold_in(2), 0.5)));
  Tape tape;
  const auto watched = tape.watch(x);
  const auto y = dropout(watched, draws, 0.5);
  key = Key{7};
  tape.backward(sum(y));
  CHECK(same_bits(tape.gradient(watched), dropout(ones_like(x), Key{6}.fold_in(1).fold_in(2), 0.5)));
  auto deep = live(key);
  for (int i = 0; i < 8; ++i) deep = deep.fold_in(1);
  CHECK_THROWS_WITH(deep.fold_in(1), Contains("more than eight fold_in"));
}

TEST_CASE("a rate below 0, or of 1 and more, is an error", "[dropout]") {
  const auto x = ones<Shape<3>>();
  CHECK_THROWS_WITH(dropout(x, Key{1}, 1.0), Contains("dropout: a rate of 1.0") &&
                                                 Contains("is not in [0, 1)") &&
                                                 Contains("dropout_test.cpp:"));
  CHECK_THROWS_AS(dropout(x, Key{1}, -0.1), ValueError);
}
