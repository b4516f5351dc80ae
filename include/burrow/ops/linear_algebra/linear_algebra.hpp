// Small linear algebra, through Eigen: systems of equations, Cholesky factors, inverses, determinants. Not in
// burrow.hpp, for Eigen's factorisations take half a second to compile.
#pragma once

#include <burrow/ops/linear_algebra/cholesky.hpp>
#include <burrow/ops/linear_algebra/matrices.hpp>
#include <burrow/ops/linear_algebra/solve.hpp>
