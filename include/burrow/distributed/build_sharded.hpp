// Models that are too large for one rank get their first values in parts.
#pragma once

#include <burrow/core/pages.hpp>
#include <burrow/distributed/sharded.hpp>

namespace burrow {

/// As `build`, for a model on which `Sharded<Optimizer, C>` is made with the same ranks and options: with
/// stage 3 only this rank's part of each repeated block gets its first values, and memory. The elements have
/// the bits of the whole model's. All ranks call it, with equal models.
template <class Optimizer, Communicator C>
auto build_sharded(typename Optimizer::model_type model, Key key, const C& ranks,
                   const ShardingOptions& options, Location where = Location::here()) {
  if (options.stage < 3) return build(std::move(model), key, where);
  detail::place(model, where);
  const auto values = parameters(model).values();
  const auto elements = [](Index count) { return static_cast<std::size_t>(count); };
  const auto discard = [&](Index first, Index last) {
    const auto part = values.subspan(elements(first), elements(last - first));
    detail::discard(part.data(), static_cast<Index>(part.size_bytes()));
  };
  for (const auto& [begin, parts, block] : detail::divided_buckets<typename Optimizer::slice_type>(
           parameter_groups(model), static_cast<Index>(values.size()), ranks.size(), options)) {
    const Index end = begin + parts.count();
    const Index first = block ? begin + parts.begin(ranks.rank()) : begin;
    const Index last = block ? begin + parts.end(ranks.rank()) : end;
    discard(begin, first);
    discard(last, end);
    detail::initialise_range(model, key, first, last);
  }
  return model;
}

}  // namespace burrow
