#include <burrow/core/dual_number.hpp>
#include <catch2/catch.hpp>
#include <sstream>

using namespace burrow;

namespace {

using D = DualNumber<double>;

/// A function on dual numbers beside the same on doubles, and points where it is smooth.
struct Function {
  const char* name;
  D (*dual)(D);
  double (*plain)(double);
  std::vector<double> points;
};

#define BURROW_TEST_FUNCTION(f, ...)                                                  \
  Function {                                                                          \
#f, [](D x) { return f(x); }, [](double x) { return std::f(x); }, { __VA_ARGS__ } \
  }

std::vector<Function> functions() {
  return {BURROW_TEST_FUNCTION(abs, -1.5, 0.3),      BURROW_TEST_FUNCTION(sqrt, 0.2, 3),
          BURROW_TEST_FUNCTION(cbrt, -2, 0.7),       BURROW_TEST_FUNCTION(exp, -1, 0, 2),
          BURROW_TEST_FUNCTION(exp2, -1, 0, 2),      BURROW_TEST_FUNCTION(expm1, -1, 1e-3, 2),
          BURROW_TEST_FUNCTION(log, 0.2, 5),         BURROW_TEST_FUNCTION(log2, 0.2, 5),
          BURROW_TEST_FUNCTION(log10, 0.2, 5),       BURROW_TEST_FUNCTION(log1p, -0.5, 1e-3, 4),
          BURROW_TEST_FUNCTION(sin, -1, 2),          BURROW_TEST_FUNCTION(cos, -1, 2),
          BURROW_TEST_FUNCTION(tan, -1, 0.4),        BURROW_TEST_FUNCTION(asin, -0.7, 0.2),
          BURROW_TEST_FUNCTION(acos, -0.7, 0.2),     BURROW_TEST_FUNCTION(atan, -3, 0.2),
          BURROW_TEST_FUNCTION(sinh, -1, 2),         BURROW_TEST_FUNCTION(cosh, -1, 2),
          BURROW_TEST_FUNCTION(tanh, -1, 0.2),       BURROW_TEST_FUNCTION(asinh, -1, 3),
          BURROW_TEST_FUNCTION(acosh, 1.5, 3),       BURROW_TEST_FUNCTION(atanh, -0.5, 0.8),
          BURROW_TEST_FUNCTION(erf, -1, 0.3),        BURROW_TEST_FUNCTION(erfc, -1, 0.3),
          BURROW_TEST_FUNCTION(floor, -1.5, 0.3),    BURROW_TEST_FUNCTION(ceil, -1.5, 0.3),
          BURROW_TEST_FUNCTION(trunc, -1.5, 0.3),    BURROW_TEST_FUNCTION(round, -1.2, 0.3),
          BURROW_TEST_FUNCTION(nearbyint, -1.2, 0.3)};
}

#undef BURROW_TEST_FUNCTION

double difference(double (*f)(double), double x) {
  const double h = 1e-4;
  return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h);
}

}  // namespace

TEST_CASE("Functions of dual numbers have the value of the plain ones and their derivative as tangent") {
  for (const auto& f : functions())
    for (const double x : f.points) {
      CAPTURE(f.name, x);
      const D y = f.dual({x, 3});
      CHECK(y.value == f.plain(x));
      CHECK(y.tangent == Approx(3 * difference(f.plain, x)).epsilon(1e-9).margin(1e-9));
    }
}

TEST_CASE("Arithmetic follows the rules of derivatives, also beside plain numbers") {
  const D a{3, 0.5}, b{-2, 4};
  CHECK(((a + b).value == 1 && (a + b).tangent == 4.5));
  CHECK(((a - b).value == 5 && (a - b).tangent == -3.5));
  CHECK(((a * b).value == -6 && (a * b).tangent == 3 * 4 - 2 * 0.5));
  CHECK(((a / b).value == -1.5 && (a / b).tangent == Approx((0.5 * -2 - 3 * 4) / 4.0)));
  CHECK(((-a).value == -3 && (-a).tangent == -0.5));
  CHECK(((2 * a + 1).value == 7 && (2 * a + 1).tangent == 1));
  CHECK(((6 / a).value == 2 && (6 / a).tangent == Approx(-6 / 9.0 * 0.5)));
  D sum = a;
  sum += b;
  sum *= 2;
  sum -= a;
  sum /= 2;
  CHECK((sum.value == -0.5 && sum.tangent == 4.25));
}

TEST_CASE("Powers are differentiated in both arguments, and a constant exponent allows a negative base") {
  const D both = pow(D{2, 1}, D{3, 1});
  CHECK((both.value == 8 && both.tangent == Approx(12 + 8 * std::log(2.0))));
  const D negative = pow(D{-2, 1}, D{3});
  CHECK((negative.value == -8 && negative.tangent == 12));
  const D angle = atan2(D{1, 1}, D{2, 0});
  CHECK((angle.value == std::atan2(1, 2) && angle.tangent == Approx(2 / 5.0)));
  const D length = hypot(D{3, 1}, D{4, 2});
  CHECK((length.value == 5 && length.tangent == Approx((3 + 8) / 5.0)));
  const D rest = fmod(D{7, 1}, D{2, 0.5});
  CHECK((rest.value == 1 && rest.tangent == 1 - 3 * 0.5));
}

TEST_CASE("Comparisons look at the value, and constants stay constants where a slope is infinite") {
  CHECK((D{1, 5} < D{2, 0} && D{1, 5} == D{1, 0} && D{1, 5} >= 1 && D{1, 5} != 2 && !(D{1, 5} > 1)));
  CHECK(sqrt(D{0}).tangent == 0);
  CHECK(std::isinf(sqrt(D{0, 1}).tangent));
  CHECK((isnan(D{std::nan(""), 0}) && isfinite(D{1, 2}) && isinf(D{std::numeric_limits<D>::infinity()})));
}

TEST_CASE("A dual number is an element type that nothing narrows to a plain one") {
  static_assert(Element<D> && Real<D> && Real<DualNumber<float>> && std::same_as<compute_type<D>, D>);
  static_assert(std::same_as<promoted<D, float>, D> && std::same_as<promoted<int, D>, D>);
  static_assert(std::same_as<promoted<DualNumber<float>, double>, D> &&
                std::same_as<promoted<DualNumber<float>, D>, D>);
  static_assert(std::same_as<promoted<bf16, DualNumber<float>>, DualNumber<float>> &&
                std::same_as<promoted<D, bf16>, D> && std::same_as<promoted<D, D>, D> &&
                std::same_as<promoted<bool, D>, D>);
  static_assert(!std::is_convertible_v<D, double> && !std::is_constructible_v<double, D> &&
                std::is_convertible_v<double, D> && std::is_convertible_v<bf16, D>);
  static_assert(std::is_trivially_copyable_v<D> && sizeof(D) == 2 * sizeof(double));
  CHECK(dtype_name<D>() == "dual double");
  std::ostringstream out;
  out << D{1.5, -2};
  CHECK(out.str() == "(1.5, -2)");
}
