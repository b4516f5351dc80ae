// Two ways of doing the same, timed in turns in one run: what else the machine does meets both.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace benchmarks {

/// Seconds that one call takes.
template <class F>
double seconds(const F& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The medians of two ways, in seconds a call.
struct Times {
  double first, second;
};

/// Calls first() and second() in turns, each as often as takes about 2 ms, for `rounds` rounds. Each returns
/// the seconds that count, so that preparations may stay outside.
template <class First, class Second>
Times side_by_side(const First& first, const Second& second, int rounds = 51) {
  const auto repeat = [](const auto& f, int count) {
    double total = 0;
    for (int i = 0; i < count; ++i) total += f();
    return total / count;
  };
  const auto count_for = [&](const auto& f) {
    f();
    return std::clamp(static_cast<int>(2e-3 / std::max(f(), 1e-9)), 1, 10'000);
  };
  const int first_count = count_for(first), second_count = count_for(second);
  std::vector<double> firsts, seconds;
  for (int round = 0; round < rounds; ++round) {
    firsts.push_back(repeat(first, first_count));
    seconds.push_back(repeat(second, second_count));
  }
  return {median(firsts), median(seconds)};
}

}  // namespace benchmarks
