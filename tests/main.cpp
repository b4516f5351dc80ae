// The one translation unit that holds the test runner of Catch2.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
