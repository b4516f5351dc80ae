// How far results are from what is expected, over many elements.
#pragma once

#include <algorithm>
#include <limits>

/// The larger of two distances. A NaN counts as infinitely far; std::max would pass over it.
inline double worse(double worst, double distance) {
  return distance >= 0 ? std::max(worst, distance) : std::numeric_limits<double>::infinity();
}
