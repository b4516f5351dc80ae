// Gives Catch2 3 the one header that Catch2 2 has, so that the tests are the same for both.
#pragma once

#include <catch2/catch_all.hpp>

using Catch::Approx;
