// What the optimizers share: how parameters are stored, the options of one step, state for checkpoints, and
// the one fused pass over parameters, gradient and state.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <burrow/autodiff/parameter_store.hpp>
#include <burrow/core/dtype.hpp>
#include <burrow/core/error.hpp>
#include <burrow/core/key.hpp>
#include <burrow/core/live.hpp>
#include <burrow/core/memory.hpp>
#include <burrow/core/packet_math.hpp>
#include <burrow/core/parallel.hpp>
#include <burrow/core/shape.hpp>
#include <burrow/optim/layout.hpp>
#include <burrow/optim/stochastic_rounding.hpp>
#include <burrow/tensor/device_number.hpp>

namespace burrow {

/// How bf16 parameters take an update that is computed in fp32: rounded stochastically (Gopher's 7.1B and
/// 280B), from an fp32 copy in the optimizer's state, or rounded to nearest (which loses small updates). Half
/// parameters have the latter two. Parameters of other types are updated as they are.
enum class Bf16Update { stochastic, fp32_copy, nearest };

/// A factor on a gradient: a number, or one that lies on the gradient's device, for which nobody waits.
class GradientFactor {
 public:
  GradientFactor(double value = 1) : value_{value} {}
  template <class D>
  GradientFactor(const DeviceNumber<double, D>& value)
      : memory_{&detail::device_memory<D>},
        storage_{value.tensor().storage()},
        on_device_{value.tensor().data()} {}

  /// The number; from a device it is copied, which waits for the device.
  operator double() const {
    double value = value_;
    if (on_device_ != nullptr) memory_->to_host(&value, on_device_, Index{sizeof(value)});
    return value;
  }
  /// Where it lies on the device; null for a number of the host.
  const double* on_device() const { return on_device_; }

 private:
  double value_ = 1;
  const detail::DeviceMemory* memory_ = nullptr;
  Storage storage_;
  const double* on_device_ = nullptr;
};

/// What may change from step to step: the learning rate, a number or a `live` variable; a factor on the
/// gradient (clipping, averaging), which is applied inside the pass; and the flat ranges that are updated,
/// all where empty: an optimizer of a model sets them to those that the gradient was computed for. A factor
/// on the device that is NaN leaves parameters and what is remembered as they are; the step counts.
struct UpdateOptions {
  std::optional<StepNumber> learning_rate = {};       ///< none: that of the options
  GradientFactor gradient_factor = 1.0;               ///< each gradient is multiplied by it
  std::span<const detail::ParameterRange> only = {};  ///< empty: all
};

/// What a part of an optimizer's state has a number for: each element of the parameters; or, of the
/// parameters that are matrices, each row or each column; or each element of those that are not.
enum class StateExtent { elements, rows, columns, elements_of_vectors };

/// A named part of an optimizer's state, in the order of the parameters.
template <class C>
struct NamedValues {
  std::string_view name;  ///< "adam.first_moment"
  std::span<C> values;    ///< to be read or written
  StateExtent extent = StateExtent::elements;
};

/// All that an optimizer remembers. Writing the same numbers back restores it bit for bit; the random bits of
/// stochastic rounding follow from the options' key and `steps`.
template <class C>
struct OptimizerState {
  Index& steps;
  std::vector<NamedValues<C>> values;  ///< in the same order for every optimizer of its kind
};

namespace detail {

inline constexpr Index update_block = 1024;

/// A packet of one value.
template <class V>
V every_lane(double value) {
  return V{static_cast<typename V::value_type>(value)};
}

/// Calls body(i) for each whole packet of [0, count), then body(i, rest) for what is left.
template <class C, class Body>
[[gnu::always_inline]] inline void each_packet(Index count, const Body& body) {
  Index i = 0;
  for (; i + lanes<C> <= count; i += lanes<C>) body(i);
  if (i < count) body(i, count - i);
}

/// Numbers that an optimizer remembers, from the pool.
template <class C>
using Remembered = std::vector<C, PoolAllocator<C>>;

/// A run of `count` neighbouring parameters in one range that an optimizer updates; the first has the slice's
/// index `begin`.
template <Real P, Real G>
class UpdateBlock {
 public:
  using Compute = compute_type<P>;
  using V = Packet<Compute>;

  UpdateBlock(P* parameters, const G* gradient, Compute* copy, Index begin, Index count,
              std::uint64_t first_index, Bf16Update mode, Key key)
      : parameters_{parameters + begin},
        gradient_{gradient + begin},
        copy_{copy == nullptr ? nullptr : copy + begin},
        begin_{begin},
        count_{count},
        first_index_{first_index + static_cast<std::uint64_t>(begin)},
        stochastic_{mode == Bf16Update::stochastic},
        key_{key} {}

  Index begin() const { return begin_; }
  Index count() const { return count_; }

  /// Parameter i of the block becomes rule(p, g, i, rest...), in one pass of packets: p and g are parameters
  /// and gradient from i on, `rest` is how many of their lanes exist where not all do.
  template <class Rule>
  void update(const Rule& rule) const {
    update(0, count_, rule);
  }
  /// The same for parameters [first, first + count) of the block.
  template <class Rule>
  void update(Index first, Index count, const Rule& rule) const {
    if constexpr (std::same_as<P, Compute>) {
      packets(first, count, parameters_, rule, [](V, Index, auto...) {});
    } else {
      if (copy_ != nullptr)
        return packets(first, count, copy_, rule,
                       [&](V p, Index i, auto... rest) { p.store(parameters_ + i, rest...); });
      if constexpr (std::same_as<P, bf16>)
        if (stochastic_) return round_packets(first, count, rule);
      packets(first, count, parameters_, rule, [](V, Index, auto...) {});
    }
  }

 private:
  /// The parameters at `values`, written there and given to `also`.
  template <class Values, class Rule, class Also>
  void packets(Index first, Index count, Values* values, const Rule& rule, const Also& also) const {
    each_packet<Compute>(count, [&](Index at, auto... rest) {
      const Index i = first + at;
      const V p = rule(V::load(values + i, rest...), V::load(gradient_ + i, rest...), i, rest...);
      p.store(values + i, rest...);
      also(p, i, rest...);
    });
  }

  template <class Rule>
  void round_packets(Index first, Index count, const Rule& rule) const {
    RandomBits16 random{key_};
    for (Index done = 0; done < count;) {
      const auto bits = random.from(first_index_ + static_cast<std::uint64_t>(first + done));
      const Index n = std::min(count - done, static_cast<Index>(bits.size()));
      each_packet<Compute>(n, [&](Index at, auto... rest) {
        const Index i = first + done + at;
        const V p = rule(V::load(parameters_ + i, rest...), V::load(gradient_ + i, rest...), i, rest...);
        store_stochastically(p, parameters_ + i, bits.data() + at, rest...);
      });
      done += n;
    }
  }

  P* parameters_;
  const G* gradient_;
  Compute* copy_;
  Index begin_, count_;
  std::uint64_t first_index_;
  bool stochastic_;
  Key key_;
};

template <Real P>
void check_bf16_update(Bf16Update mode, Location where) {
  require_option(!std::same_as<P, half> || mode != Bf16Update::stochastic,
                 "optimizer: half parameters are not rounded stochastically; keep an fp32 copy", where);
}

[[noreturn, gnu::cold, gnu::noinline]] inline void update_size_differs(std::size_t size, const char* what,
                                                                       Index built_for, Location where) {
  throw ShapeError("optimizer: " + std::to_string(size) + " " + what + ", built for " +
                   std::to_string(built_for) + at(where));
}
inline void check_update_size(std::size_t size, const char* what, Index built_for, Location where) {
  if (static_cast<Index>(size) != built_for) update_size_differs(size, what, built_for, where);
}

/// The parameters [first_index, first_index + count) of a flat buffer, and how they take updates.
template <Real P>
class ParameterUpdate {
 public:
  using Compute = compute_type<P>;

  ParameterUpdate(std::span<const P> parameters, Index first_index, Bf16Update mode, Key key,
                  const ParameterLayout& layout, Location where)
      : count_{static_cast<Index>(parameters.size())},
        first_index_{first_index},
        mode_{mode},
        key_{key},
        ranges_{update_ranges(layout, first_index, count_, where)} {
    check_bf16_update<P>(mode, where);
    if (Narrow<P> && mode == Bf16Update::fp32_copy) copy_.assign(parameters.begin(), parameters.end());
  }

  std::span<Compute> copy() { return copy_; }

  std::span<const UpdateRange> ranges() const { return ranges_; }

  /// Throws ShapeError when the sizes are not those built for.
  void check(std::size_t parameters, std::size_t gradient, Location where) const {
    check_update_size(parameters, "parameters", count_, where);
    check_update_size(gradient, "gradient values", count_, where);
  }

  /// Calls kernel(block, range) for blocks of the parameters, each in one range that is not frozen and among
  /// `only`, on all threads. Throws ShapeError when the sizes are not those built for.
  template <Real G, class Kernel>
  void run(std::span<P> parameters, std::span<const G> gradient, Index step,
           std::span<const ParameterRange> only, const Kernel& kernel, Location where) {
    check(parameters.size(), gradient.size(), where);
    const Key key = key_.fold_in(static_cast<std::uint64_t>(step));
    Compute* const copy = copy_.empty() ? nullptr : copy_.data();
    const Index blocks = (count_ + update_block - 1) / update_block;
    parallel_for(blocks, Index{8}, [&](Index first_block, Index last_block) {
      Index begin = first_block * update_block;
      const Index last = std::min(last_block * update_block, count_);
      const auto* range = std::partition_point(ranges_.data(), ranges_.data() + ranges_.size(),
                                               [&](const UpdateRange& r) { return r.end <= begin; });
      for (; begin < last; ++range) {
        const Index end = std::min(last, range->end);
        if (!range->frozen && ParameterStore::contains(only, first_index_ + range->begin))
          kernel(UpdateBlock<P, G>{parameters.data(), gradient.data(), copy, begin, end - begin,
                                   static_cast<std::uint64_t>(first_index_) + range->draws_shift, mode_, key},
                 *range);
        begin = end;
      }
    });
  }

 private:
  Index count_, first_index_;
  Bf16Update mode_;
  Key key_;
  std::vector<UpdateRange> ranges_;
  Remembered<Compute> copy_;
};

}  // namespace detail

}  // namespace burrow
