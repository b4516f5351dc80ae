#include <burrow/core/key.hpp>
#include <burrow/core/reflection.hpp>

#include <any>
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using burrow::for_each_member;
using burrow::member_count;
using burrow::member_names;
using burrow::member_types;
using burrow::Reflectable;
using burrow::TypeList;

struct TakesByReference {
  TakesByReference() = default;
  template <class E>
  TakesByReference(const E&) {}
};
struct TakesForwarded {
  TakesForwarded() = default;
  template <class E>
  TakesForwarded(E&&) {}
};
struct TakesExplicitly {
  TakesExplicitly() = default;
  template <class E>
  explicit TakesExplicitly(E&&) {}
};
struct TakesList {
  TakesList() = default;
  TakesList(std::initializer_list<float>) {}
};
struct Immovable {
  Immovable() = default;
  Immovable(Immovable&&) = delete;
};
struct Empty {};
struct OtherEmpty {};

struct Inner {
  int rows = 3;
  std::array<TakesByReference, 4> parts;
};

struct Layer {
  TakesByReference weight;
  TakesForwarded bias;
  TakesExplicitly scale;
  TakesList offsets;
  std::vector<float> history;
  std::array<Inner, 3> blocks;
  [[no_unique_address]] Empty policy;
  [[no_unique_address]] OtherEmpty device;
  Inner inner{.rows = 4, .parts = {}};
  std::string label;
  std::any extra;
  std::function<void(int)> hook;
  std::variant<int, std::string> choice;
  std::optional<float> rate;
  std::unique_ptr<int> owned;
  double epsilon = 1e-5;
};
static_assert(member_count<Layer> == 16);
static_assert(member_count<const Layer> == 16);

struct Fixed {
  std::atomic<int> counter;
  Immovable lock;
  const int width = 3;
  enum { on, off } state;
  bool causal;
  void* address;
};
static_assert(member_count<Fixed> == 6);

// Key has no implicit default: a struct with one cannot be written T{}.
struct KeyOnly {
  burrow::Key key;
};
struct KeyLast {
  int step;
  burrow::Key key;
};
static_assert(member_count<KeyOnly> == 1);
static_assert(member_count<KeyLast> == 2);
static_assert(std::same_as<member_types<KeyLast>, TypeList<int, burrow::Key>>);
static_assert(std::same_as<member_types<const KeyLast>, TypeList<const int, const burrow::Key>>);

struct InnerOnly {
  Inner inner;
};
static_assert(member_count<InnerOnly> == 1);
static_assert(member_count<Empty> == 0);
static_assert(member_names<Empty>.empty());

template <class T, int>
struct Pair {
  T first_;
  T _second2;
};
static_assert(member_names<Pair<Inner, 2>> == std::array<std::string_view, 2>{"first_", "_second2"});

struct WithConstructor {
  WithConstructor(int) {}
};
class WithPrivate {
  [[maybe_unused]] int hidden_ = 0;
};
static_assert(Reflectable<Layer> && Reflectable<Empty>);
static_assert(!Reflectable<int> && !Reflectable<WithConstructor> && !Reflectable<WithPrivate>);
static_assert(!Reflectable<std::array<Inner, 2>> && !Reflectable<std::string> && !Reflectable<int[3]>);

template <std::size_t>
using Int = int;
struct Full {
  Int<0> a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3, b4, b5, b6, b7;
  Int<1> c0, c1, c2, c3, c4, c5, c6, c7, d0, d1, d2, d3, d4, d5, d6, d7;
};
static_assert(member_count<Full> == burrow::max_member_count);
static_assert(member_names<Full>[0] == "a0" && member_names<Full>[31] == "d7");

constexpr int sum_of_members() {
  Full full{};
  full.a0 = 1;
  full.b7 = 20;
  full.d7 = 300;
  int sum = 0;
  for_each_member(full, [&](std::string_view, int& member) { sum += member; });
  return sum;
}
static_assert(sum_of_members() == 321);

}  // namespace

TEST_CASE("member names are the declared ones, in order", "[reflection]") {
  const std::vector<std::string_view> expected = {"weight", "bias",   "scale", "offsets", "history", "blocks",
                                                  "policy", "device", "inner", "label",   "extra",   "hook",
                                                  "choice", "rate",   "owned", "epsilon"};
  const auto& names = member_names<Layer>;
  REQUIRE(std::vector<std::string_view>(names.begin(), names.end()) == expected);
  REQUIRE(member_names<Fixed> ==
          std::array<std::string_view, 6>{"counter", "lock", "width", "state", "causal", "address"});
}

TEST_CASE("every member is visited by reference, with its constness", "[reflection]") {
  struct Local {
    int count;
    double ratio = 0.5;
  };
  Local local{2};
  for_each_member(local, [](std::string_view, auto& member) { member *= 2; });
  REQUIRE(local.count == 4);
  REQUIRE(local.ratio == 1.0);

  std::vector<std::pair<std::string, double>> seen;
  for_each_member(std::as_const(local), [&](std::string_view name, auto& member) {
    static_assert(std::is_const_v<std::remove_reference_t<decltype(member)>>);
    seen.emplace_back(name, member);
  });
  REQUIRE(seen == std::vector<std::pair<std::string, double>>{{"count", 4}, {"ratio", 1}});
}

TEST_CASE("members are the object's own: addresses ascend and lie inside it", "[reflection]") {
  Layer layer;
  const auto* const begin = reinterpret_cast<const char*>(&layer);
  for_each_member(layer, [&](std::string_view name, auto& member) {
    INFO(name);
    const auto* const address = reinterpret_cast<const char*>(&member);
    REQUIRE(address >= begin);
    REQUIRE(address < begin + sizeof layer);
  });
  burrow::visit_members(layer, [&](auto& first, auto&... rest) {
    REQUIRE(&first == &layer.weight);
    REQUIRE(sizeof...(rest) == 15);
  });
}
