#include <burrow/core/shape.hpp>
#include <catch2/catch.hpp>
#include <concepts>
#include <sstream>
#include <vector>

using namespace burrow;

TEST_CASE("Static extents are in the type, dynamic ones are given") {
  constexpr Shape<2, 3, 4> fixed;
  static_assert(fixed.rank == 3 && fixed.is_static && fixed.size() == 24);
  static_assert(fixed[0] == 2 && fixed[2] == 4 && fixed[-1] == 4 && fixed[-3] == 2);
  static_assert(Shape<>{}.size() == 1 && Shape<>::rank == 0 && Shape<>::is_static);
  static_assert(Shape<3, 0, 2>{}.size() == 0);

  const Shape<2, dyn, 4> mixed{{2, 7, 4}};
  static_assert(!mixed.is_static);
  CHECK(mixed[1] == 7);
  CHECK(mixed[-2] == 7);
  CHECK(mixed.size() == 56);
  CHECK(Shape<dyn, 3>{}.size() == 0);
  CHECK(mixed == Shape<2, dyn, 4>{{2, 7, 4}});
  CHECK_FALSE(mixed == Shape<2, dyn, 4>{{2, 8, 4}});
}

TEST_CASE("A shape names itself with its values") {
  std::ostringstream text;
  text << Shape<>{} << Shape<5>{} << Shape<2, dyn, 512>{{2, 7, 512}};
  CHECK(text.str() == "Shape<>Shape<5>Shape<2, 7, 512>");
  const std::array<Index, 2> open{dyn, 3};
  CHECK(detail::shape_text(open.data(), open.size()) == "Shape<dyn, 3>");
}

TEST_CASE("Values that contradict a static extent are refused with the line of the call") {
  using Mixed = Shape<2, dyn>;
  CHECK_THROWS_WITH((Mixed{{3, 7}, {"dir/file.cpp", 12}}),
                    "Shape: Shape<3, 7> does not fit Shape<2, dyn> [file.cpp:12]");
  CHECK_THROWS_AS((Mixed{{2, -4}}), ShapeError);
  CHECK_NOTHROW(Mixed{{2, 0}});
}

TEST_CASE("Which static shapes broadcast is known to the compiler") {
  static_assert(Broadcastable<Shape<4, 3>, Shape<3>> && Broadcastable<Shape<3>, Shape<4, 3>>);
  static_assert(Broadcastable<Shape<4, 1>, Shape<1, 3>> && Broadcastable<Shape<>, Shape<4, 3>>);
  static_assert(Broadcastable<Shape<dyn, 3>, Shape<5, 1>> && Broadcastable<Shape<dyn>, Shape<dyn>>);
  static_assert(!Broadcastable<Shape<4, 3>, Shape<5>> && !Broadcastable<Shape<4, 3>, Shape<4>>);
  static_assert(!Broadcastable<Shape<2, 3>, Shape<3, 3>> && !Broadcastable<Shape<0>, Shape<2>>);

  static_assert(std::same_as<Broadcast<Shape<4, 1>, Shape<3>>, Shape<4, 3>>);
  static_assert(std::same_as<Broadcast<Shape<2, 1, 5>, Shape<7, 1>>, Shape<2, 7, 5>>);
  static_assert(std::same_as<Broadcast<Shape<dyn, 3>, Shape<3>>, Shape<dyn, 3>>);
  static_assert(std::same_as<Broadcast<Shape<dyn>, Shape<4>>, Shape<4>>);
  static_assert(std::same_as<Broadcast<Shape<dyn>, Shape<1>>, Shape<dyn>>);
  static_assert(std::same_as<Broadcast<Shape<dyn>, Shape<dyn>>, Shape<dyn>>);
  static_assert(std::same_as<Broadcast<Shape<0, 1>, Shape<1, 0>>, Shape<0, 0>>);
  SUCCEED();
}

TEST_CASE("Dynamic extents must be equal at run time, only a static 1 is broadcast") {
  const Shape<dyn, 3> four{{4, 3}}, five{{5, 3}}, one{{1, 3}};
  CHECK(broadcast(four, Shape<3>{}) == four);
  CHECK(broadcast(Shape<1, 3>{}, four) == four);
  CHECK(broadcast(four, Shape<4, 1>{}) == Shape<4, 3>{});
  CHECK_THROWS_AS(broadcast(four, five), ShapeError);
  CHECK_THROWS_WITH(
      broadcast(four, five, "operator+"),
      Catch::StartsWith(
          "operator+: Shape<4, 3> and Shape<5, 3> do not broadcast (only a static 1 does) [shape_test.cpp:"));
  CHECK_THROWS_WITH(
      broadcast(four, one, "maximum"),
      Catch::StartsWith(
          "maximum: Shape<4, 3> and Shape<1, 3> do not broadcast (only a static 1 does) [shape_test.cpp:"));
  CHECK_THROWS_AS(broadcast(four, Shape<7, 3>{}), ShapeError);
}

TEST_CASE("Shapes match where a tensor of the one can become a tensor of the other") {
  static_assert(Matching<Shape<2, 3>, Shape<2, 3>> && Matching<Shape<dyn, 3>, Shape<2, dyn>>);
  static_assert(!Matching<Shape<2, 3>, Shape<3, 2>> && !Matching<Shape<2>, Shape<2, 1>>);
  static_assert(!Matching<Shape<1>, Shape<2>>);
  SUCCEED();
}

TEST_CASE("Row-major strides") {
  CHECK(detail::row_major_strides(std::array<Index, 3>{2, 3, 4}) == std::array<Index, 3>{12, 4, 1});
  CHECK(detail::row_major_strides(std::array<Index, 1>{9}) == std::array<Index, 1>{1});
}

TEST_CASE("The text of a shape of any rank is cut where a message is full") {
  const std::vector<Index> few{2, dyn, 4}, many(600, 1234567);
  CHECK(detail::shape_text(few.data(), few.size()) == "Shape<2, dyn, 4>");
  const std::string text = detail::shape_text(many.data(), many.size());
  CHECK(text.size() == 1023);
  CHECK(text.starts_with("Shape<1234567, 1234567, "));
}
