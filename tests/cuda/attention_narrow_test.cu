// Attention of bf16 and half on the device, on tensor cores, against the CPU's.
#include <catch2/catch.hpp>

#include "tests/cuda/attention_cases.hpp"

using namespace attention_test;

TEST_CASE("attention of bf16 in tiles agrees with the CPU's", "[attention]") { agrees_in_tiles<bf16>(2e-2); }

TEST_CASE("attention of half in tiles agrees with the CPU's", "[attention]") {
  agrees_in_tiles<burrow::half>(3e-3);
}

TEST_CASE("few queries of bf16 agree with the CPU's", "[attention]") { agrees_for_few_queries<bf16>(2e-2); }
