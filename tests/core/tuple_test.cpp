// Tuples of few and of many values, and apply.
#include <catch2/catch.hpp>
#include <string>
#include <type_traits>

#include <burrow/core/tuple.hpp>

namespace {

using burrow::detail::Tuple;

/// Cannot be moved: it is made where it stays.
struct Fixed {
  explicit Fixed(int of) : value{of} {}
  Fixed(const Fixed&) = delete;
  Fixed& operator=(const Fixed&) = delete;
  int value;
};

}  // namespace

TEST_CASE("a tuple of any length gives its values, for reading and writing") {
  const auto check = []<class... T>(const T&... values) {
    Tuple tuple{values...};
    static_assert(std::is_same_v<decltype(tuple), Tuple<T...>>);
    int place = 0;
    burrow::detail::apply([&](T&... own) { ((own = static_cast<T>(own + static_cast<T>(++place))), ...); },
                          tuple);
    const auto copy = tuple;
    double sum = 0;
    burrow::detail::apply([&](const T&... own) { ((sum += static_cast<double>(own)), ...); }, copy);
    double expected = 0;
    place = 0;
    ((expected += static_cast<double>(values) + ++place), ...);
    CHECK(sum == expected);
    CHECK(burrow::detail::get<sizeof...(T) - 1>(copy) == burrow::detail::get<sizeof...(T) - 1>(tuple));
    CHECK(burrow::detail::get<0>(tuple) == burrow::detail::get<0>(copy));
  };
  check(1);
  check(1, 2.5);
  check(1, 2.5, 3L);
  check(1, 2.5, 3L, 4.25f);
  check(1, 2.5, 3L, 4.25f, 5, 6);
}

TEST_CASE("get tells apart values of one type") {
  Tuple<int, int, int> few{1, 2, 3};
  Tuple<int, int, int, int> many{1, 2, 3, 4};
  burrow::detail::get<1>(few) = 7;
  burrow::detail::get<1>(many) = 7;
  const auto digits = [](auto... i) { return (std::to_string(i) + ...); };
  CHECK(burrow::detail::apply(digits, few) == "173");
  CHECK(burrow::detail::apply(digits, many) == "1734");
}

TEST_CASE("up to three values are made in their places, and a tuple of trivial ones is trivial") {
  const auto made = [](int i) { return Fixed{i}; };
  const Tuple<Fixed, Fixed, Fixed> fixed{made(1), made(2), made(3)};
  CHECK(burrow::detail::apply([](const auto&... f) { return (f.value + ...); }, fixed) == 6);
  static_assert(std::is_trivially_copyable_v<Tuple<int, double, float>>);
  static_assert(std::is_trivially_copyable_v<Tuple<int, double, float, long, char>>);
}
