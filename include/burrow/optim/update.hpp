// What the optimizers share: how parameters are stored, the options of one step, state for checkpoints, and
// the one fused pass over parameters, gradient and state.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <burrow/autodiff/parameter_store.hpp>
#include <burrow/core/dtype.hpp>
#include <burrow/core/error.hpp>
#include <burrow/core/key.hpp>
#include <burrow/core/memory.hpp>
#include <burrow/core/packet_math.hpp>
#include <burrow/core/parallel.hpp>
#include <burrow/core/shape.hpp>
#include <burrow/optim/layout.hpp>
#include <burrow/optim/stochastic_rounding.hpp>

namespace burrow {

/// How bf16 parameters take an update that is computed in fp32: rounded stochastically (Gopher's 7.1B and
/// 280B), from an fp32 copy in the optimizer's state, or rounded to nearest (which loses small updates). Half
/// parameters have the latter two. Parameters of other types are updated as they are.
enum class Bf16Update { stochastic, fp32_copy, nearest };

/// What may change from step to step: the learning rate; a factor on the gradient (clipping, averaging),
/// which is applied inside the pass; and the flat ranges that are updated, all where empty: an optimizer of a
/// model sets them to those that the gradient was computed for.
struct UpdateOptions {
  std::optional<double> learning_rate = {};
  double gradient_factor = 1;
  std::span<const detail::ParameterRange> only = {};
};

/// What a part of an optimizer's state has a number for: each element of the parameters; or, of the
/// parameters that are matrices, each row or each column; or each element of those that are not.
enum class StateExtent { elements, rows, columns, elements_of_vectors };

/// A named part of an optimizer's state, in the order of the parameters.
template <class C>
struct NamedValues {
  std::string_view name;
  std::span<C> values;
  StateExtent extent = StateExtent::elements;
};

/// All that an optimizer remembers. Writing the same numbers back restores it bit for bit; the random bits of
/// stochastic rounding follow from the options' key and `steps`.
template <class C>
struct OptimizerState {
  Index& steps;
  std::vector<NamedValues<C>> values;
};

namespace detail {

inline constexpr Index update_block = 1024;

/// All lanes of a packet with one value.
template <class C>
Packet<C> every_lane(double value) {
  return Packet<C>{static_cast<C>(value)};
}

/// Calls body(i) for each whole packet of [0, count), then body(i, rest) for what is left.
template <class C, class Body>
void each_packet(Index count, const Body& body) {
  Index i = 0;
  for (; i + lanes<C> <= count; i += lanes<C>) body(i);
  if (i < count) body(i, count - i);
}

/// Numbers that an optimizer remembers, from the pool.
template <class C>
using Remembered = std::vector<C, PoolAllocator<C>>;

/// The parameters [first_index, first_index + count) of a flat buffer, and how they take updates.
template <Real P>
class ParameterUpdate {
 public:
  using Compute = compute_type<P>;

  ParameterUpdate(std::span<const P> parameters, Index first_index, Bf16Update mode, Key key,
                  const ParameterLayout& layout)
      : count_{static_cast<Index>(parameters.size())},
        first_index_{first_index},
        mode_{mode},
        key_{key},
        ranges_{update_ranges(layout, first_index, count_)} {
    require_option(!std::same_as<P, half> || mode != Bf16Update::stochastic,
                   "optimizer: half parameters are not rounded stochastically; keep an fp32 copy");
    if (has_copy()) copy_.assign(parameters.begin(), parameters.end());
  }

  Index count() const { return count_; }
  std::span<Compute> copy() { return copy_; }

  std::span<const UpdateRange> ranges() const { return ranges_; }

  /// Throws ShapeError when the sizes are not those built for.
  void check(std::size_t parameters, std::size_t gradient) const {
    check_size(parameters, "parameters");
    check_size(gradient, "gradient values");
  }

  /// Calls kernel(p, g, begin, n, range) for blocks of n elements from `begin` on, each in one range that is
  /// not frozen and among `only`: p are the parameters as numbers to compute with, to be updated; g is the
  /// gradient. Throws ShapeError when the sizes are not those built for.
  template <Real G, class Kernel>
  void run(std::span<P> parameters, std::span<const G> gradient, Index step,
           std::span<const ParameterRange> only, const Kernel& kernel) {
    check(parameters.size(), gradient.size());
    const Key key = key_.fold_in(static_cast<std::uint64_t>(step));
    const Index blocks = (count_ + update_block - 1) / update_block;
    parallel_for(blocks, Index{8}, [&](Index first_block, Index last_block) {
      Index begin = first_block * update_block;
      const Index last = std::min(last_block * update_block, count_);
      const auto* range = std::partition_point(ranges_.data(), ranges_.data() + ranges_.size(),
                                               [&](const UpdateRange& r) { return r.end <= begin; });
      while (begin < last) {
        const Index end = std::min({last, range->end, (begin / update_block + 1) * update_block});
        if (!range->frozen && ParameterStore::contains(only, first_index_ + range->begin))
          update_one(parameters.data() + begin, gradient.data() + begin, begin, end - begin, key,
                     [&](Compute* p, const Compute* g, Index at, Index n) { kernel(p, g, at, n, *range); });
        begin = end;
        if (begin == range->end) ++range;
      }
    });
  }

 private:
  bool has_copy() const { return Narrow<P> && mode_ == Bf16Update::fp32_copy; }

  void check_size(std::size_t size, const char* what) const {
    if (static_cast<Index>(size) != count_)
      throw ShapeError("optimizer: " + std::to_string(size) + " " + what + ", built for " +
                       std::to_string(count_));
  }

  template <class G, class Kernel>
  void update_one(P* parameters, const G* gradient, Index begin, Index n, Key key, const Kernel& kernel) {
    alignas(64) std::array<Compute, update_block> gradient_buffer;
    const Compute* g;
    if constexpr (std::same_as<G, Compute>) {
      g = gradient;
    } else {
      std::transform(gradient, gradient + n, gradient_buffer.begin(),
                     [](G value) { return static_cast<Compute>(value); });
      g = gradient_buffer.data();
    }
    if constexpr (std::same_as<P, Compute>)
      kernel(parameters, g, begin, n);
    else
      update_narrow(parameters, g, begin, n, key, kernel);
  }

  template <class Kernel>
  void update_narrow(P* parameters, const float* g, Index begin, Index n, Key key, const Kernel& kernel) {
    alignas(64) std::array<float, update_block> buffer;
    float* values = buffer.data();
    if (has_copy())
      values = copy_.data() + begin;
    else
      std::copy_n(parameters, n, values);
    kernel(values, g, begin, n);
    if constexpr (std::same_as<P, bf16>) {
      const auto size = static_cast<std::size_t>(n);
      if (mode_ == Bf16Update::stochastic)
        return round_stochastically({values, size}, {parameters, size}, key,
                                    static_cast<std::uint64_t>(first_index_ + begin));
    }
    std::transform(values, values + n, parameters, [](float value) { return static_cast<P>(value); });
  }

  Index count_, first_index_;
  Bf16Update mode_;
  Key key_;
  std::vector<UpdateRange> ranges_;
  Remembered<Compute> copy_;
};

}  // namespace detail

}  // namespace burrow
