// What an optimizer knows of the parameters in a flat buffer: where each one lies, its rows and columns, and
// how its updates differ from the others'.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <burrow/autodiff/parameter_store.hpp>
#include <burrow/core/error.hpp>

namespace burrow {

/// How the updates of some parameters differ. What is not set stays as the optimizer's options have it.
struct GroupOptions {
  std::optional<double> learning_rate_factor = {};  ///< multiplies every learning rate
  std::optional<double> weight_decay = {};          ///< in place of the optimizer's
  std::optional<bool> frozen = {};                  ///< true: neither parameters nor moments change
};

/// A parameter in a flat buffer: its `rows` x `columns` elements from `begin` on. Of more than two axes the
/// last one gives the columns; fewer give one row.
struct ParameterPlace {
  Index begin = 0;
  Index rows = 1;
  Index columns = 0;
  GroupOptions group = {};
  ParameterShare share = {};
  Index block = -1;  ///< the flat index at which the repeated block begins that it belongs to, if any

  Index size() const { return rows * columns; }
  Index end() const { return begin + size(); }
  /// With more than one row and column, so that factoring a moment into both saves memory.
  bool is_matrix() const { return rows > 1 && columns > 1; }
};

/// The parameters of a whole flat buffer in order, without gaps; `parameter_groups` makes it from a model.
/// Empty: one vector of whatever length.
using ParameterLayout = std::vector<ParameterPlace>;

/// The place of a parameter of those extents.
inline ParameterPlace parameter_place(Index begin, std::span<const Index> extents) {
  ParameterPlace place{.begin = begin, .columns = extents.empty() ? 1 : extents.back()};
  for (std::size_t axis = 0; axis + 1 < extents.size(); ++axis) place.rows *= extents[axis];
  return place;
}

namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void option_is_refused(const char* message, Location where) {
  throw ValueError(message + at(where));
}
inline void require_option(bool holds, const char* message, Location where) {
  if (!holds) option_is_refused(message, where);
}

/// The part of one parameter that lies in a slice of the flat buffer; `begin` and `end` count from the
/// slice's first element, `parameter` is its number in the layout.
struct UpdateRange {
  Index begin, end;
  std::size_t parameter = 0;
  double learning_rate_factor = 1;
  std::optional<double> weight_decay = {};
  bool frozen = false;
  std::uint64_t draws_shift = 0;  // from places in the flat buffer to numbers of random draws

  double rate(double learning_rate) const { return learning_rate * learning_rate_factor; }
  double decay(double usual) const { return weight_decay.value_or(usual); }
};

inline void check_group(const GroupOptions& group, Location where) {
  require_option(group.learning_rate_factor.value_or(1) >= 0, "optimizer: a learning-rate factor is negative",
                 where);
  require_option(group.weight_decay.value_or(0) >= 0, "optimizer: a group's weight decay is negative", where);
}

/// The ranges of the slice [first, first + count). Throws ShapeError where the layout does not reach so far.
inline std::vector<UpdateRange> update_ranges(const ParameterLayout& layout, Index first, Index count,
                                              Location where) {
  if (layout.empty()) return {{0, count}};
  if (layout.back().end() < first + count)
    throw ShapeError("optimizer: the slice ends at element " + std::to_string(first + count) +
                     ", the layout at " + std::to_string(layout.back().end()) + at(where));
  std::vector<UpdateRange> ranges;
  for (std::size_t i = 0; i < layout.size(); ++i) {
    const GroupOptions& group = layout[i].group;
    check_group(group, where);
    const Index begin = std::max(layout[i].begin, first), end = std::min(layout[i].end(), first + count);
    if (begin < end)
      ranges.push_back({begin - first, end - first, i, group.learning_rate_factor.value_or(1),
                        group.weight_decay, group.frozen.value_or(false),
                        layout[i].share.draws == 0
                            ? 0
                            : layout[i].share.draws - static_cast<std::uint64_t>(layout[i].begin)});
  }
  return ranges;
}

}  // namespace detail

}  // namespace burrow
