#include <burrow/core/packet_math.hpp>
#include <catch2/catch.hpp>
#include <vector>

using namespace burrow;

namespace {

using Packets = std::tuple<Packet<float>, Packet<double>, Packet<float, 1>, Packet<double, 1>>;

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();
template <class T>
constexpr T not_a_number = std::numeric_limits<T>::quiet_NaN();

/// Evenly spaced numbers, and the difficult ones.
template <class T>
std::vector<T> samples(T from, T to, bool specials = true) {
  std::vector<T> x;
  constexpr int count = 20000;
  for (int i = 0; i <= count; ++i) x.push_back(from + (to - from) * static_cast<T>(i) / T(count));
  for (T small = T(1e-7); small < 1; small *= T(7))
    for (const T sign : {T(1), T(-1)})
      if (sign * small >= from && sign * small <= to) x.push_back(sign * small);
  if (specials) x.insert(x.end(), {T(0), infinity<T>, -infinity<T>, not_a_number<T>, T(1e4), T(-1e4)});
  return x;
}

/// Calls check(x, f(x)) for each sample, computed in packets of N.
template <int N, class T, class F, class Check>
void for_each_result(const std::vector<T>& x, const F& f, const Check& check) {
  const auto size = static_cast<Index>(x.size());
  for (Index i = 0; i < size; i += N) {
    T in[N], out[N];
    Packet<T, N>::load(&x[static_cast<std::size_t>(i)], std::min<Index>(N, size - i)).store(in);
    f(Packet<T, N>::load(in)).store(out);
    for (int l = 0; l < N; ++l) check(in[l], out[l]);
  }
}

/// |a - b| in units of the last place of b; numbers below the smallest normal one count as zero.
template <class T, class Wide>
double distance(T a, Wide exact) {
  const T b = static_cast<T>(exact);
  constexpr T smallest = std::numeric_limits<T>::min();
  if ((std::isnan(a) && std::isnan(b)) || a == b) return 0;
  if (std::abs(a) <= smallest && std::abs(b) <= smallest) return 0;
  if (!std::isfinite(a) || !std::isfinite(b)) return 1e30;
  const T size = std::max(std::abs(b), smallest);
  return static_cast<double>(std::abs(static_cast<Wide>(a) - exact) /
                             static_cast<Wide>(size - std::nextafter(size, T(0))));
}

template <int N, class T, class F, class G>
double worst_distance(const std::vector<T>& x, const F& f, const G& reference) {
  double worst = 0;
  for_each_result<N>(x, f, [&](T in, T out) {
    const double d = distance(out, reference(in));
    if (d > worst) worst = d;
  });
  return worst;
}

template <class P, std::size_t... L>
std::array<bool, sizeof...(L)> truth(P a, P b, auto compare, std::index_sequence<L...>) {
  using T = typename P::value_type;
  T out[P::size];
  select(compare(a, b), P(T(1)), P(T(0))).store(out);
  return {(out[L] == T(1))...};
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("Functions of packets are as accurate as the guide says", "", Packets) {
  using T = typename TestType::value_type;
  constexpr int n = TestType::size;
  constexpr bool single = sizeof(T) == 4;
  // The reference has more digits, for float always and for double where `long double` has.
  using Wide = std::conditional_t<single, double, long double>;
#define CHECK_WITHIN(ulp, function, from, to)                               \
  CHECK(worst_distance<n>(                                                  \
            samples<T>(T(from), T(to)), [](auto x) { return function(x); }, \
            [](T x) { return std::function(static_cast<Wide>(x)); }) <= ulp)
  CHECK_WITHIN(2, exp, -120, 120);
  CHECK_WITHIN(2, exp, -800, 800);
  CHECK_WITHIN(2, exp2, -150, 150);
  CHECK_WITHIN(2, expm1, -40, 40);
  CHECK_WITHIN(2, expm1, -1, 1);
  CHECK_WITHIN(1, log, -0.5, 40);
  CHECK_WITHIN(2, log2, -0.5, 40);
  CHECK_WITHIN(3, log1p, -0.99, 40);
  CHECK_WITHIN(3, tanh, -12, 12);
  CHECK_WITHIN((single ? 3 : 5), erf, -7, 7);
  CHECK_WITHIN((single ? 2 : 3), sin, -20, 20);
  CHECK_WITHIN((single ? 2 : 3), cos, -20, 20);
  CHECK_WITHIN((single ? 2 : 3), sin, -1e6, 1e6);
  CHECK_WITHIN(4, tan, -20, 20);
  CHECK_WITHIN(0.5, sqrt, -1, 1000);
  CHECK_WITHIN(0, abs, -9, 9);
  CHECK_WITHIN(0, floor, -9, 9);
  CHECK_WITHIN(0, ceil, -9, 9);
  CHECK_WITHIN(0, trunc, -9, 9);
#undef CHECK_WITHIN
  CHECK(worst_distance<n>(
            samples<T>(-9, 9), [](auto x) { return round(x); }, [](T x) { return std::nearbyint(x); }) == 0);
  CHECK(worst_distance<n>(
            samples<T>(T(0.1), 9), [](auto x) { return pow(x, decltype(x)(T(2.5))); },
            [](T x) { return std::pow(x, T(2.5)); }) <= 2);
}

TEMPLATE_LIST_TEST_CASE("Logarithms of what is not positive, and of the smallest numbers", "", Packets) {
  using T = typename TestType::value_type;
  T out[TestType::size];
  const auto lane = [&](TestType p) { return p.store(out), out[0]; };
  CHECK((lane(log(TestType(T(0)))) == -infinity<T> && std::isnan(lane(log(TestType(T(-1)))))));
  CHECK((lane(log1p(TestType(T(-1)))) == -infinity<T> && std::isnan(lane(log1p(TestType(T(-2)))))));
  CHECK(lane(log1p(TestType(infinity<T>))) == infinity<T>);
  const T tiny = std::numeric_limits<T>::denorm_min() * T(12345);
  CHECK(lane(log(TestType(tiny))) == Approx(std::log(tiny)).epsilon(1e-6));
  CHECK((lane(log2(TestType(T(1024)))) == 10 && lane(exp2(TestType(T(-10)))) == T(0x1p-10)));
}

TEMPLATE_LIST_TEST_CASE("Exponentials overflow to infinity, underflow to zero and keep NaN", "", Packets) {
  using T = typename TestType::value_type;
  const std::vector<T> x{T(-1e5),
                         -infinity<T>,
                         T(1e5),
                         infinity<T>,
                         not_a_number<T>,
                         T(0),
                         std::numeric_limits<T>::max(),
                         std::numeric_limits<T>::lowest()};
  std::vector<T> y;
  for_each_result<TestType::size>(
      x, [](auto p) { return exp(p); }, [&](T, T out) { y.push_back(out); });
  CHECK((y[0] == 0 && y[1] == 0 && y[2] == infinity<T> && y[3] == infinity<T>));
  CHECK((std::isnan(y[4]) && y[5] == 1 && y[6] == infinity<T> && y[7] == 0));
}

TEMPLATE_LIST_TEST_CASE("Arithmetic of packets is that of numbers, lane by lane", "", Packets) {
  using T = typename TestType::value_type;
  constexpr int n = TestType::size;
  T a[n], b[n], out[n];
  for (int i = 0; i < n; ++i) a[i] = T(i) - T(2.5), b[i] = T(3) - T(0.75) * T(i);
  const auto check = [&](auto f, auto reference) {
    f(TestType::load(a), TestType::load(b)).store(out);
    for (int i = 0; i < n; ++i) CHECK(out[i] == reference(a[i], b[i]));
  };
  check([](auto x, auto y) { return x + y; }, [](T x, T y) { return x + y; });
  check([](auto x, auto y) { return x - y; }, [](T x, T y) { return x - y; });
  check([](auto x, auto y) { return x * y; }, [](T x, T y) { return x * y; });
  check([](auto x, auto y) { return x / y; }, [](T x, T y) { return x / y; });
  check([](auto x, auto) { return -x; }, [](T x, T) { return -x; });
  (-TestType(T(0))).store(out);
  CHECK(std::signbit(out[0]));
  check([](auto x, auto y) { return maximum(x, y); }, [](T x, T y) { return std::max(x, y); });
  check([](auto x, auto y) { return minimum(x, y); }, [](T x, T y) { return std::min(x, y); });
  check([](auto x, auto y) { return fused_multiply_add(x, y, decltype(x)(T(0.5))); },
        [](T x, T y) { return x * y + T(0.5); });  // exact with these numbers
  T sum = 0;
  for (const T x : a) sum += x;
  CHECK(reduce_add(TestType::load(a)) == sum);
  CHECK(reduce_max(TestType::load(a)) == *std::max_element(a, a + n));
  CHECK(reduce_min(TestType::load(b)) == *std::min_element(b, b + n));
}

TEMPLATE_LIST_TEST_CASE("maximum and minimum keep NaN of either side and the first of two zeros", "",
                        Packets) {
  using T = typename TestType::value_type;
  T out[TestType::size];
  const auto lane = [&](TestType p) { return p.store(out), out[TestType::size - 1]; };
  const TestType nan(not_a_number<T>), one(T(1)), zero(T(0)), minus(T(-0.0));
  for (const T value : {lane(maximum(nan, one)), lane(maximum(one, nan)), lane(maximum(nan, nan)),
                        lane(minimum(nan, one)), lane(minimum(one, nan)), lane(minimum(nan, nan))})
    CHECK(std::isnan(value));
  CHECK((std::signbit(lane(maximum(minus, zero))) && !std::signbit(lane(minimum(zero, minus)))));
}

TEMPLATE_LIST_TEST_CASE("Comparisons and masks agree with those of numbers, NaN included", "", Packets) {
  using T = typename TestType::value_type;
  constexpr auto lane_numbers = std::make_index_sequence<static_cast<std::size_t>(TestType::size)>{};
  const T values[] = {T(-1), T(0), T(-0.0), T(2), infinity<T>, not_a_number<T>};
  for (const T a : values)
    for (const T b : values) {
      const auto check = [&](auto f) {
        const auto compare = [&](TestType x, TestType y) { return f(x, y); };
        for (const bool lane : truth(TestType(a), TestType(b), compare, lane_numbers)) CHECK(lane == f(a, b));
      };
      check([](auto x, auto y) { return x < y; });
      check([](auto x, auto y) { return x <= y; });
      check([](auto x, auto y) { return x > y; });
      check([](auto x, auto y) { return x >= y; });
      check([](auto x, auto y) { return x == y; });
      check([](auto x, auto y) { return x != y; });
      check([](auto x, auto y) { return !(x < y); });
      check([](auto x, auto y) { return x < y && x == x; });
      check([](auto x, auto y) { return x < y || y != y; });
      check([](auto x, auto y) { return (x < y) == (y < x); });
      check([](auto x, auto y) { return (x < y) != (x <= y); });
      check([](auto x, auto y) { return (x < y) < (x != y); });
      check([](auto x, auto y) { return (x != y) <= (x < y); });
    }
}

TEMPLATE_LIST_TEST_CASE("Partial loads read zeros, partial stores and gathers touch only what exists", "",
                        Packets) {
  using T = typename TestType::value_type;
  constexpr int n = TestType::size;
  std::vector<T> from(3 * n);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = T(i + 1);
  for (int count = 1; count <= n; ++count) {
    T out[n], few[n];
    std::fill_n(few, n, T(-1));
    TestType::load(from.data(), count).store(out);
    TestType::gather(from.data(), 3, count).store(few, count);
    for (int i = 0; i < n; ++i) {
      CHECK(out[i] == (i < count ? T(i + 1) : T(0)));
      CHECK(few[i] == (i < count ? T(3 * i + 1) : T(-1)));
    }
  }
}

TEMPLATE_LIST_TEST_CASE("Packets load and store other element types", "", Packets) {
  using T = typename TestType::value_type;
  constexpr int n = TestType::size;
  bf16 halves[n];
  std::int32_t integers[n];
  for (int i = 0; i < n; ++i) halves[i] = bf16{0.5f * static_cast<float>(i)};
  (TestType::load(halves) * TestType(T(2.03))).store(integers);
  for (int i = 0; i < n; ++i) CHECK(integers[i] == static_cast<std::int32_t>(T(0.5) * T(i) * T(2.03)));
  TestType(T(1.00390625)).store(halves);
  for (const bf16 half : halves) CHECK(half.bits() == bf16{1.0f}.bits());
}

TEST_CASE("Packets of bf16 round as single numbers do, at every pattern, denormal or NaN") {
  using P = Packet<float>;
  constexpr int n = P::size;
  int wrong = 0;
  for (const std::uint32_t rest : {0u, 1u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu})
    for (std::uint32_t pattern = 0; pattern <= 0xFFFF; pattern += n) {
      float in[n], wide[n], rounded[n];
      bf16 out[n];
      for (int i = 0; i < n; ++i)
        in[i] = std::bit_cast<float>((pattern + static_cast<std::uint32_t>(i)) << 16 | rest);
      const P x = P::load(in);
      x.store(out);
      P::load(out).store(wide);
      P(detail::NarrowLanes::rounded<bf16>(x.v)).store(rounded);
      for (int i = 0; i < n; ++i) {
        const std::uint32_t bits = bf16{in[i]}.bits();
        wrong += out[i].bits() != bits || std::bit_cast<std::uint32_t>(wide[i]) != bits << 16 ||
                 std::bit_cast<std::uint32_t>(rounded[i]) != bits << 16;
      }
    }
  CHECK(wrong == 0);
}

TEST_CASE("Packets of one integer") {
  using P = Packet<std::int32_t, 1>;
  CHECK((P(7) / P(2)).v == 3);
  CHECK(maximum(P(-7), P(2)).v == 2);
  CHECK(abs(P(-7)).v == 7);
  CHECK(select(P(1) < P(2), P(5), P(6)).v == 5);
  CHECK(((P(7) / P(0)).v == 0 && (P(-7) / P(0)).v == 0));
  constexpr std::int32_t lowest = std::numeric_limits<std::int32_t>::min();
  CHECK(
      ((P(lowest) / P(-1)).v == lowest && (-P(lowest)).v == lowest && (P(lowest) - P(1)).v == -(lowest + 1)));
  CHECK((Packet<std::uint16_t, 1>(65535) * Packet<std::uint16_t, 1>(65535)).v == 1);
  CHECK(abs(Packet<std::uint8_t, 1>(200)).v == 200);
}
