// How flat parameters are cut into buckets and these among ranks.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <burrow/distributed/communicator.hpp>
#include <burrow/distributed/sharding_options.hpp>
#include <burrow/optim/update.hpp>

namespace burrow::detail {

/// Parts of the elements [first, last) that begin and end where parameters do, as equal as that allows.
inline Partition partition_at_parameters(const ParameterLayout& layout, Index first, Index last, int ranks) {
  std::vector<Index> bounds{0};
  const Index count = last - first;
  std::size_t next = 0;
  for (int r = 1; r < ranks; ++r) {
    const Index wanted = first + count / ranks * r + count % ranks * r / ranks;
    while (next < layout.size() && layout[next].begin + layout[next].size() / 2 < wanted) ++next;
    const Index bound = next < layout.size() ? layout[next].begin : last;
    bounds.push_back(std::max(bounds.back(), std::min(bound, last) - first));
  }
  bounds.push_back(count);
  return Partition{std::span<const Index>{bounds}};
}

/// A stretch of flat parameters that is gathered and reduced at once.
struct BucketPlace {
  Index begin, end;
  bool block;  // of a repeated block, gathered when it is needed
};

/// The buckets of `count` parameters: of `size` elements, and where `by_block` one for each repeated block.
inline std::vector<BucketPlace> bucket_places(const ParameterLayout& layout, Index count, Index size,
                                              bool by_block) {
  std::vector<BucketPlace> places;
  const auto cut = [&](Index begin, Index end) {
    for (; begin < end; begin += size) places.push_back({begin, std::min(begin + size, end), false});
  };
  Index begin = 0;
  for (std::size_t i = 0; by_block && i < layout.size(); ++i) {
    if (layout[i].block < 0) continue;
    cut(begin, layout[i].begin);
    begin = layout[i].begin;
    while (i + 1 < layout.size() && layout[i + 1].block == layout[i].block) ++i;
    places.push_back({begin, layout[i].end(), true});
    begin = layout[i].end();
  }
  cut(begin, count);
  return places;
}

template <class Slice>
inline constexpr bool needs_whole_parameters = false;
template <class Slice>
requires(Slice::needs_whole_parameters) inline constexpr bool needs_whole_parameters<Slice> = true;

/// A bucket, and the part of it that each rank updates.
struct BucketParts {
  Index begin;
  Partition parts;
  bool block;
};

/// The buckets of `count` parameters that `ranks` update by a Slice.
template <class Slice>
std::vector<BucketParts> divided_buckets(const ParameterLayout& layout, Index count, int ranks,
                                         const ShardingOptions& options) {
  constexpr bool whole = needs_whole_parameters<Slice>;
  const Index size = whole ? std::max<Index>(count, 1) : options.bucket_elements;
  std::vector<BucketParts> buckets;
  for (const auto& [begin, end, block] : bucket_places(layout, count, size, options.stage == 3))
    buckets.push_back(
        {begin, whole ? partition_at_parameters(layout, begin, end, ranks) : Partition{end - begin, ranks},
         block});
  return buckets;
}

/// How many values of that kind the parameters before flat index `end` have.
inline Index state_values_before(const ParameterLayout& layout, StateExtent extent, Index end) {
  if (extent == StateExtent::elements) return end;
  Index sum = 0;
  for (const ParameterPlace& place : layout) {
    if (place.begin >= end) break;
    if (extent == StateExtent::elements_of_vectors)
      sum += place.is_matrix() ? 0 : place.size();
    else if (place.is_matrix())
      sum += extent == StateExtent::rows ? place.rows : place.columns;
  }
  return sum;
}

}  // namespace burrow::detail
