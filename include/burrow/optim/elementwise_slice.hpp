// Optimizers whose update of an element depends on that element alone: a rule of a few lines makes one.
#pragma once

#include <array>
#include <concepts>
#include <span>
#include <string_view>
#include <utility>

#include <burrow/optim/model_optimizer.hpp>

namespace burrow::detail {

/// An optimizer for a slice of a flat buffer on device D, whose first element has the index `first_index`
/// there. What is remembered is fp32, double for double parameters. One pass reads gradient, parameters and
/// what is remembered, and writes the latter two; its result does not depend on the number of threads or
/// slices.
///
/// The rule has the options, the names of the numbers that it remembers for each element and, as the last
/// one, that of an fp32 copy; `check(options, where)` throws ValueError; `remembers(options)` says how many
/// of the numbers are needed. For each range of parameters that are updated alike a Rule::Numbers<V>{options,
/// step, learning rate, weight decay} is made, with the number of the step from 1 on; its call with packets
/// of parameters, gradient and, by reference, remembered numbers returns the new parameters.
template <Real P, class Rule, class D = Cpu>
class ElementwiseSlice {
  static constexpr std::size_t most = Rule::names.size() - 1;

 public:
  using Compute = compute_type<P>;
  using Options = typename Rule::options;

  /// Throws ValueError for options out of range. `layout` is that of the whole buffer.
  ElementwiseSlice(std::span<const P> parameters, Index first_index, const Options& options,
                   const ParameterLayout& layout = {}, Location where = Location::here())
      : options_{options}, update_{parameters, first_index, options.bf16_update, options.key, layout, where} {
    require_option(options.learning_rate >= 0, Rule::negative_rate, where);
    Rule::check(options, where);
    for (std::size_t i = 0; i < Rule::remembers(options); ++i) remembered_[i].resize(parameters.size());
  }

  /// One update of the slice, in place. Throws ShapeError when the sizes are not those built for.
  template <Real G>
  void step(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now = {},
            Location where = Location::here()) {
    using V = Packet<Compute>;
    if constexpr (std::invocable<const typename Rule::template Numbers<V>&, V, V>)
      if (Rule::remembers(options_) == 0)
        return step_with(parameters, gradient, now, where, std::index_sequence<>{});
    step_with(parameters, gradient, now, where, std::make_index_sequence<most>{});
  }

  /// What is remembered, by the rule's names, and where it is kept the fp32 copy.
  OptimizerState<Compute> state() {
    OptimizerState<Compute> state{steps_, {}};
    for (std::size_t i = 0; i < Rule::remembers(options_); ++i)
      state.values.push_back({Rule::names[i], remembered_[i]});
    if (!update_.copy().empty()) state.values.push_back({Rule::names[most], update_.copy()});
    return state;
  }

  const Options& options() const { return options_; }

 private:
  template <Real G, std::size_t... I>
  void step_with(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now,
                 Location where, std::index_sequence<I...>) {
    using V = Packet<Compute>;
    const double usual_rate = now.learning_rate.value_or(options_.learning_rate);
    const auto next = static_cast<double>(steps_ + 1);
    const V factor = every_lane<V>(now.gradient_factor);
    update_.run(
        parameters, gradient, steps_, now.only,
        [&](const auto& block, const UpdateRange& range) {
          const typename Rule::template Numbers<V> numbers{options_, next, range.rate(usual_rate),
                                                           range.decay(options_.weight_decay)};
          const std::array<Compute*, sizeof...(I)> at{remembered_[I].data() + block.begin()...};
          block.update([&, numbers, factor](V p, V g, [[maybe_unused]] Index i, auto... rest) {
            std::array<V, sizeof...(I)> values{V::load(at[I] + i, rest...)...};
            const V result = numbers(p, g * factor, values[I]...);
            (values[I].store(at[I] + i, rest...), ...);
            return result;
          });
        },
        where);
    ++steps_;
  }

  Options options_;
  Index steps_ = 0;
  ParameterUpdate<P> update_;
  std::array<Remembered<Compute>, most> remembered_;
};

}  // namespace burrow::detail
