// Which element type a result has, and what is defined at the edges of the types.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <burrow/tensor/print.hpp>
#include <burrow/tensor/reduce.hpp>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;

namespace {

/// The cells of a Markdown table's row, without blanks.
std::vector<std::string> cells(const std::string& row) {
  std::vector<std::string> result;
  std::istringstream in{row};
  for (std::string cell; std::getline(in, cell, '|');) {
    std::erase(cell, ' ');
    result.push_back(cell);
  }
  return result;
}

/// The table of docs/guide/dtypes.md: its header and one row for each type.
std::vector<std::vector<std::string>> documented_promotions() {
  const auto page = std::filesystem::path{__FILE__}.parent_path() / "../../docs/guide/dtypes.md";
  std::ifstream in{page};
  std::vector<std::vector<std::string>> table;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("| | bool |") || (!table.empty() && line.starts_with("|")))
      table.push_back(cells(line));
    else if (!table.empty())
      break;
  }
  return table;
}

template <class... T>
struct Types {};
using All = Types<bool, std::uint8_t, std::uint16_t, std::int32_t, std::int64_t, bf16, half, float, double>;

template <class A, class... B>
std::vector<std::string> promotions_of(Types<B...>) {
  return {"", std::string{dtype_name<A>()}, std::string{dtype_name<promoted<A, B>>()}...};
}
template <class... A>
std::vector<std::vector<std::string>> promotions(Types<A...> types) {
  return {promotions_of<A>(types)...};
}

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

template <class E, class T>
constexpr bool has_element = std::same_as<element_of<E>, T>;

}  // namespace

TEST_CASE("Promotion is what the table of the guide says, cell by cell") {
  const auto documented = documented_promotions();
  const auto computed = promotions(All{});
  REQUIRE(documented.size() == computed.size() + 2);  // a header and the line below it
  for (std::size_t row = 0; row < computed.size(); ++row) {
    CHECK(documented[0][row + 2] == computed[row][1]);
    CHECK(documented[row + 2] == computed[row]);
  }
}

TEST_CASE("Numbers take the type beside them, and bring their own where they are of a higher kind") {
  const Tensor<bool, Shape<2>> p{true, false};
  const Tensor<std::uint8_t, Shape<2>> u{1, 255};
  const Tensor<std::int32_t, Shape<2>> i{1, -2};
  const Tensor<half, Shape<2>> h{1, 2};
  static_assert(has_element<decltype(p + true), bool> && has_element<decltype(p + 1), std::int32_t>);
  static_assert(has_element<decltype(p + std::int64_t{1}), std::int64_t> &&
                has_element<decltype(p * 0.5), float>);
  static_assert(has_element<decltype(u + 1), std::uint8_t> && has_element<decltype(u + 1.5), float>);
  static_assert(has_element<decltype(i + std::int64_t{1}), std::int32_t> &&
                has_element<decltype(2.5f - i), float>);
  static_assert(has_element<decltype(h * 2.5), half> && has_element<decltype(h * true), half>);
  static_assert(has_element<decltype(where(p, i, 0.5)), float> && has_element<decltype(h / i), half>);
  CHECK(wrong(p + 3, [&](Index k) { return p(k) + 3; }) == 0);
  CHECK(wrong(u + 2, [&](Index k) { return static_cast<std::uint8_t>(u(k) + 2); }) == 0);
  CHECK(wrong(u < 300, [](Index) { return true; }) == 0);
  CHECK(wrong(u > -1, [](Index) { return true; }) == 0);
  CHECK(wrong(i < std::int64_t{1} << 40, [](Index) { return true; }) == 0);
  CHECK(wrong(where(p, i, 0.5), [&](Index k) { return p(k) ? 1.0f : 0.5f; }) == 0);
}

TEST_CASE("Truth values add as or, multiply as and") {
  const Tensor<bool, Shape<4>> p{false, false, true, true}, q{false, true, false, true};
  CHECK(wrong(p + q, [&](Index k) { return p(k) || q(k); }) == 0);
  CHECK(wrong(p * q, [&](Index k) { return p(k) && q(k); }) == 0);
  CHECK(wrong(maximum(p, q), [&](Index k) { return p(k) || q(k); }) == 0);
  CHECK(wrong(minimum(p, q), [&](Index k) { return p(k) && q(k); }) == 0);
  CHECK(wrong(p | q, [&](Index k) { return p(k) || q(k); }) == 0);
  CHECK(wrong(p & q, [&](Index k) { return p(k) && q(k); }) == 0);
  CHECK(wrong(p ^ q, [&](Index k) { return p(k) != q(k); }) == 0);
  CHECK(wrong(~p, [&](Index k) { return !p(k); }) == 0);
  CHECK(wrong(p < q, [&](Index k) { return p(k) < q(k); }) == 0);
  CHECK(wrong(p <= q, [&](Index k) { return p(k) <= q(k); }) == 0);
  CHECK(wrong(p / true, [&](Index k) { return p(k) ? 1.0f : 0.0f; }) == 0);
  CHECK(wrong(exp(p), [&](Index k) { return std::exp(p(k) ? 1.0f : 0.0f); }) == 0);
  const Tensor<double, Shape<4>> x{1, 2, 3, 4};
  CHECK(wrong(cast<double>((x > 1) + p), [&](Index k) { return x(k) > 1 || p(k) ? 1.0 : 0.0; }) == 0);
}

TEMPLATE_TEST_CASE("Integers divide, wrap and shift without a trap", "", std::int32_t, std::int64_t) {
  using T = TestType;
  constexpr T low = std::numeric_limits<T>::min(), high = std::numeric_limits<T>::max();
  const Tensor<T, Shape<8>> a{7, -7, 7, -7, 5, low, low, high}, b{2, 2, -2, -2, 0, -1, 0, 3};
  const auto python_floor = [](T x, T y) {
    return y == 0 ? T(0) : x == low && y == -1 ? low : T(x / y - (x % y != 0 && (x < 0) != (y < 0)));
  };
  static_assert(has_element<decltype(a / b), float>);
  CHECK(wrong(a / b, [&](Index k) { return static_cast<float>(a(k)) / static_cast<float>(b(k)); }) == 0);
  CHECK(wrong(floor_divide(a, b), [&](Index k) { return python_floor(a(k), b(k)); }) == 0);
  CHECK(wrong(remainder(a, b), [&](Index k) {
          return b(k) == 0 || b(k) == -1 ? T(0) : T(a(k) - python_floor(a(k), b(k)) * b(k));
        }) == 0);
  CHECK(wrong(fmod(a, b), [&](Index k) { return b(k) == 0 || b(k) == -1 ? T(0) : T(a(k) % b(k)); }) == 0);
  using U = std::make_unsigned_t<T>;
  CHECK(wrong(a + a, [&](Index k) { return static_cast<T>(U(a(k)) + U(a(k))); }) == 0);
  CHECK(wrong(a * a, [&](Index k) { return static_cast<T>(U(a(k)) * U(a(k))); }) == 0);
  CHECK(wrong(-a, [&](Index k) { return static_cast<T>(-U(a(k))); }) == 0);
  CHECK(wrong(abs(a), [&](Index k) { return a(k) < 0 ? static_cast<T>(-U(a(k))) : a(k); }) == 0);
  CHECK(wrong(pow(a, 3), [&](Index k) { return static_cast<T>(U(a(k)) * U(a(k)) * U(a(k))); }) == 0);
  const Tensor<T, Shape<4>> base{1, -1, 2, 0};
  const Tensor<T, Shape<4>> inverse{1, -1, 0, 0};
  CHECK(equal(Tensor(pow(base, -3)), inverse));
  CHECK(wrong(a & b, [&](Index k) { return a(k) & b(k); }) == 0);
  CHECK(wrong(a | b, [&](Index k) { return a(k) | b(k); }) == 0);
  CHECK(wrong(a ^ b, [&](Index k) { return a(k) ^ b(k); }) == 0);
  CHECK(wrong(~a, [&](Index k) { return ~a(k); }) == 0);
  CHECK(wrong(a << 3, [&](Index k) { return static_cast<T>(U(a(k)) << 3); }) == 0);
  CHECK(wrong(a >> 3, [&](Index k) { return a(k) >> 3; }) == 0);
  for (const int by : {-1, 64, 100}) {
    CHECK(wrong(a << by, [](Index) { return T(0); }) == 0);
    CHECK(wrong(a >> by, [&](Index k) { return a(k) < 0 ? T(-1) : T(0); }) == 0);
  }
}

TEST_CASE("Unsigned integers wrap, shift and keep their type") {
  const Tensor<std::uint8_t, Shape<3>> u{0, 3, 255};
  static_assert(has_element<decltype(u << 1), std::uint8_t> && has_element<decltype(-u), std::uint8_t>);
  CHECK(wrong(u << 1, [&](Index k) { return static_cast<std::uint8_t>(u(k) << 1); }) == 0);
  CHECK(wrong(u >> 9, [](Index) { return std::uint8_t{0}; }) == 0);
  CHECK(wrong(~u, [&](Index k) { return static_cast<std::uint8_t>(~u(k)); }) == 0);
  CHECK(wrong(-u, [&](Index k) { return static_cast<std::uint8_t>(-u(k)); }) == 0);
  CHECK(wrong(u - 4, [&](Index k) { return static_cast<std::uint8_t>(u(k) - 4); }) == 0);
  CHECK(wrong(sign(u), [&](Index k) { return std::uint8_t{u(k) > 0}; }) == 0);
}

TEST_CASE("Functions of real numbers take integers as float, and the others keep them") {
  const Tensor<std::int64_t, Shape<3>> x{1, -2, 3};
  static_assert(has_element<decltype(exp(x)), float> && has_element<decltype(sigmoid(x)), float>);
  static_assert(has_element<decltype(round(x)), std::int64_t> &&
                has_element<decltype(relu(x)), std::int64_t>);
  CHECK(wrong(exp(x), [&](Index k) { return std::exp(static_cast<float>(x(k))); }) == 0);
  CHECK(wrong(gelu(x) + x, [&](Index k) {
          const auto v = static_cast<double>(x(k));
          return v / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v))) + v;
        }) == 0);
  CHECK(wrong(clamp(x, -1, 2), [&](Index k) { return std::clamp<std::int64_t>(x(k), -1, 2); }) == 0);
  CHECK(equal(Tensor(floor(x) + ceil(x) + trunc(x) + round(x)), Tensor(x * 4)));
  CHECK(wrong(isfinite(x) && !isnan(x) && !isinf(x), [](Index) { return true; }) == 0);
}

TEMPLATE_TEST_CASE("maximum, minimum and clamp keep NaN of every operand", "", float, half) {
  using T = TestType;
  const Tensor<T, Shape<3>> x{not_a_number, 1, 2}, y{1, not_a_number, 3};
  const auto nans = [](const auto& e) {
    const Tensor n = isnan(e);
    return std::array{n(0), n(1), n(2)};
  };
  CHECK(nans(maximum(x, y)) == std::array{true, true, false});
  CHECK(nans(minimum(x, y)) == std::array{true, true, false});
  CHECK(nans(maximum(x, 0)) == std::array{true, false, false});
  CHECK(nans(minimum(0, x)) == std::array{true, false, false});
  CHECK(nans(clamp(x, y, 5)) == std::array{true, true, false});
  CHECK(nans(relu(x)) == std::array{true, false, false});
}

TEMPLATE_TEST_CASE("A cast to a 16-bit type rounds where it stands, fused or not", "", bf16, half) {
  using T = TestType;
  for (const Index size : {1, 7, 40}) {
    const auto x = sample<float>(Line{{size}}, 1);
    const Tensor<T, Line> stored = cast<T>(x / 7);
    CHECK(equal(Tensor(cast<float>(cast<T>(x / 7)) * 3), Tensor(cast<float>(stored) * 3)));
    CHECK(equal(Tensor(cast<T>(x / 7) + x), Tensor(stored + x)));
    CHECK(sum(cast<float>(cast<T>(x / 7))).item() == sum(cast<float>(stored)).item());
    const auto d = sample<double>(Line{{size}}, 2);
    CHECK(wrong(cast<double>(cast<T>(d / 7)),
                [&](Index k) { return static_cast<double>(static_cast<float>(T(d(k) / 7))); }) == 0);
    const auto i = sample<std::int32_t>(Line{{size}}, 3);
    CHECK(wrong(cast<float>(cast<T>(i * 1001)),
                [&](Index k) { return static_cast<float>(T(static_cast<float>(i(k) * 1001))); }) == 0);
  }
}

TEST_CASE("half is an element type like the others") {
  const Tensor<half, Shape<3>> x{1, 2.5f, -3};
  std::ostringstream text;
  text << x << ' ' << sum(x) << ' ' << mean(x);
  CHECK(text.str() == "[  1, 2.5,  -3] 0.5 0.166626");
  static_assert(std::same_as<element_of<decltype(sum(x))>, half>);
  const Tensor<half, Shape<3000>> many{full<Shape<3000>>(0.1f)};
  CHECK(static_cast<float>(sum(many).item()) == Approx(299.9f).epsilon(1e-3));  // not added in half
}
