// A small Gopher and its batches, for tests of several processes.
#pragma once

#include <burrow/distributed/init.hpp>
#include <burrow/distributed/parallel_layers.hpp>

#include "gopher_model/model/gopher.hpp"

namespace small_gopher {

using namespace burrow;

using Whole = Float32<Cpu>;
using Divided = TensorParallel<Float32<Cpu>, distributed::World>;
using Tokens = Tensor<std::int32_t, Shape<dyn, dyn>>;

constexpr Index batch = 12, context = 6, vocabulary = 30;
constexpr gopher::ModelSize size{.layers = 4,
                                 .width = 16,
                                 .heads = 4,
                                 .head_width = 4,
                                 .feed_forward = 30,
                                 .vocabulary = vocabulary,
                                 .context = context};

/// Sequences [begin, end) of a step; every fifth target is not counted.
inline Tokens tokens(Index step, Index begin, Index end, bool targets) {
  Tokens t{Shape<dyn, dyn>{{end - begin, context}}};
  for (Index i = 0; i < t.size(); ++i) {
    const auto at = static_cast<std::uint64_t>(begin * context + i + targets);
    const bool ignored = targets && (begin * context + i) % 5 == 0;
    const float u = Key{77}.fold_in(static_cast<std::uint64_t>(step)).uniform(at);
    t.data()[i] = ignored ? -1 : static_cast<std::int32_t>(u * u * float(vocabulary));
  }
  return t;
}

}  // namespace small_gopher
