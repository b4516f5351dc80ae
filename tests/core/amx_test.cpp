#include <burrow/core/amx.hpp>
#include <catch2/catch.hpp>

using namespace burrow::cpu;

TEST_CASE("tiles are used where the build has them, and not while they are refused", "[amx]") {
  const bool before = detail::amx_permitted();
  CHECK((detail::compiled_for_amx || !before));
  {
    const WithoutAmx outer;
    CHECK_FALSE(detail::amx_permitted());
    { const WithoutAmx inner; }
    CHECK_FALSE(detail::amx_permitted());
  }
  CHECK(detail::amx_permitted() == before);
}
