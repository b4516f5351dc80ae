// Sines and cosines of the angles of positions, computed once and shared.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <burrow/core/locks.hpp>
#include <burrow/core/parallel.hpp>
#include <burrow/tensor/functions.hpp>
#include <burrow/tensor/tensor.hpp>

namespace burrow::detail {

/// Which half of a table's row has what.
enum class AngleOrder { sines_first, cosines_first };

/// Row p has the sines and the cosines of the angles p w_m, m < width / 2, with w_m = base^(-2 m / width), as
/// two halves: [rows, width] for an even width, with at least the rows asked for. Tables are kept, so asking
/// again computes nothing; one that is too short grows to twice its rows at least.
template <AngleOrder Order, class T, class S, class D>
Tensor<T, S, D> position_table(Index at_least, Index width, double base) {
  static Mutex mutex;
  static std::vector<std::pair<double, Tensor<T, S, D>>> known;  // with their bases
  const Hold lock{mutex};
  const auto place = std::find_if(known.begin(), known.end(), [&](const auto& other) {
    return other.first == base && other.second.shape()[1] == width;
  });
  auto& table =
      place != known.end() ? place->second : known.emplace_back(base, Tensor<T, S, D>{S{{0, width}}}).second;
  if (table.shape()[0] >= at_least) return table;
  static std::vector<Tensor<T, S, D>> earlier;  // captured steps of a device go on reading them
  if constexpr (!on_host<D>) earlier.push_back(table);
  Tensor<T, S> angles{S{{std::max(at_least, 2 * table.shape()[0]), width}}};
  const Index half = width / 2;
  T* const sines = angles.data() + (Order == AngleOrder::sines_first ? 0 : half);
  T* const cosines = angles.data() + (Order == AngleOrder::sines_first ? half : 0);
  parallel_for(angles.shape()[0], 64, [&](Index begin, Index end) {
    for (Index p = begin; p < end; ++p)
      for (Index m = 0; m < half; ++m) {
        const double turn = std::pow(base, -2.0 * static_cast<double>(m) / static_cast<double>(width));
        const double angle = static_cast<double>(p) * turn;
        sines[p * width + m] = static_cast<T>(std::sin(angle));
        cosines[p * width + m] = static_cast<T>(std::cos(angle));
      }
  });
  table = to<D>(angles);
  return table;
}

}  // namespace burrow::detail
