// The laws that every optimizer keeps: the reference's numbers, and the same bits for every number of
// threads, every slicing, and after a restart.
#pragma once

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include <burrow/optim/update.hpp>

#include "tests/threads.hpp"

template <class T>
std::vector<T> normal_values(burrow::Key key, std::size_t size) {
  std::vector<T> values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = static_cast<T>(key.normal(i));
  return values;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Some parameters and their optimizer, which follow a fixed sequence of random gradients.
template <class P, class Slice, class Options>
struct Run {
  std::vector<P> parameters;
  std::vector<Slice> slices;
  std::vector<std::size_t> bounds;

  Run(std::size_t size, const Options& options, std::vector<std::size_t> cuts = {},
      const burrow::ParameterLayout& layout = {})
      : parameters{normal_values<P>(burrow::Key{5}, size)}, bounds{std::move(cuts)} {
    bounds.insert(bounds.begin(), 0);
    bounds.push_back(size);
    for (std::size_t i = 0; i + 1 < bounds.size(); ++i)
      slices.emplace_back(std::span<const P>{part(i)}, static_cast<burrow::Index>(bounds[i]), options,
                          layout);
  }

  std::span<P> part(std::size_t i) {
    return std::span{parameters}.subspan(bounds[i], bounds[i + 1] - bounds[i]);
  }

  template <class G = float>
  void follow(std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t step = first; step < last; ++step) {
      const auto gradient = normal_values<G>(burrow::Key{6}.fold_in(step), parameters.size());
      for (std::size_t i = 0; i < slices.size(); ++i)
        slices[i].step(part(i), std::span{gradient}.subspan(bounds[i], bounds[i + 1] - bounds[i]),
                       {.learning_rate = {}, .gradient_factor = 0.5});
    }
  }
};

/// The laws, for parameters of a layout (empty: 20,011 elements) that is cut into slices at `cuts`.
template <class P, class Slice, class Options>
void check_bits_do_not_depend_on_threads_slices_or_restarts(const Options& options,
                                                            const burrow::ParameterLayout& layout = {},
                                                            const std::vector<std::size_t>& cuts = {
                                                                1, 1000, 8191, 8192}) {
  using Optimized = Run<P, Slice, Options>;
  const std::size_t size = layout.empty() ? 20'011 : static_cast<std::size_t>(layout.back().end());
  const Threads scope{1};
  Optimized expected{size, options, {}, layout};
  expected.follow(0, 6);
  for (const int count : {2, 5}) {
    burrow::set_threads(count);
    Optimized again{size, options, {}, layout};
    again.follow(0, 6);
    REQUIRE(same_bits(again.parameters, expected.parameters));
  }
  burrow::set_threads(3);

  Optimized sliced{size, options, cuts, layout};
  sliced.follow(0, 6);
  REQUIRE(same_bits(sliced.parameters, expected.parameters));

  Optimized first{size, options, {}, layout};
  first.follow(0, 3);
  Optimized resumed{size, options, {}, layout};
  resumed.parameters = first.parameters;
  auto from = first.slices[0].state();
  auto to = resumed.slices[0].state();
  to.steps = from.steps;
  REQUIRE(to.values.size() == from.values.size());
  for (std::size_t i = 0; i < from.values.size(); ++i) {
    REQUIRE(to.values[i].name == from.values[i].name);
    REQUIRE(to.values[i].values.size() == from.values[i].values.size());
    if (from.values[i].extent == burrow::StateExtent::elements) REQUIRE(from.values[i].values.size() == size);
    std::copy(from.values[i].values.begin(), from.values[i].values.end(), to.values[i].values.begin());
  }
  resumed.follow(3, 6);
  REQUIRE(same_bits(resumed.parameters, expected.parameters));
}
