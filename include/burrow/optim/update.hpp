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

#include <burrow/core/dtype.hpp>
#include <burrow/core/error.hpp>
#include <burrow/core/key.hpp>
#include <burrow/core/memory.hpp>
#include <burrow/core/packet_math.hpp>
#include <burrow/core/parallel.hpp>
#include <burrow/core/shape.hpp>
#include <burrow/optim/stochastic_rounding.hpp>

namespace burrow {

/// How bf16 parameters take an update that is computed in fp32: rounded stochastically (Gopher's 7.1B and
/// 280B), from an fp32 copy in the optimizer's state, or rounded to nearest (which loses small updates).
/// Parameters of other types are updated as they are.
enum class Bf16Update { stochastic, fp32_copy, nearest };

/// What may change from step to step: the learning rate, and a factor on the gradient (clipping, averaging),
/// which is applied inside the pass.
struct UpdateOptions {
  std::optional<double> learning_rate = {};
  double gradient_factor = 1;
};

/// A named part of an optimizer's state, as long as the parameters.
template <class C>
struct NamedValues {
  std::string_view name;
  std::span<C> values;
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

  ParameterUpdate(std::span<const P> parameters, Index first_index, Bf16Update mode, Key key)
      : count_{static_cast<Index>(parameters.size())}, first_index_{first_index}, mode_{mode}, key_{key} {
    if (has_copy()) copy_.assign(parameters.begin(), parameters.end());
  }

  Index count() const { return count_; }
  std::span<Compute> copy() { return copy_; }

  /// Calls kernel(p, g, begin, n) for blocks of n elements from `begin` on: p are the parameters as numbers
  /// to compute with, to be updated; g is the gradient. Throws ShapeError when the sizes are not those built
  /// for.
  template <Real G, class Kernel>
  void run(std::span<P> parameters, std::span<const G> gradient, Index step, const Kernel& kernel) {
    check(parameters.size(), "parameters");
    check(gradient.size(), "gradient values");
    const Key key = key_.fold_in(static_cast<std::uint64_t>(step));
    const Index blocks = (count_ + update_block - 1) / update_block;
    parallel_for(blocks, Index{8}, [&](Index first_block, Index last_block) {
      for (Index block = first_block; block < last_block; ++block) {
        const Index begin = block * update_block;
        update_one(parameters.data() + begin, gradient.data() + begin, begin,
                   std::min(update_block, count_ - begin), key, kernel);
      }
    });
  }

 private:
  bool has_copy() const { return std::same_as<P, bf16> && mode_ == Bf16Update::fp32_copy; }

  void check(std::size_t size, const char* what) const {
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
      update_bf16(parameters, g, begin, n, key, kernel);
  }

  template <class Kernel>
  void update_bf16(bf16* parameters, const float* g, Index begin, Index n, Key key, const Kernel& kernel) {
    alignas(64) std::array<float, update_block> buffer;
    float* values = buffer.data();
    if (has_copy())
      values = copy_.data() + begin;
    else
      std::copy_n(parameters, n, values);
    kernel(values, g, begin, n);
    const auto size = static_cast<std::size_t>(n);
    if (mode_ == Bf16Update::stochastic)
      round_stochastically({values, size}, {parameters, size}, key,
                           static_cast<std::uint64_t>(first_index_ + begin));
    else
      std::copy_n(values, n, parameters);
  }

  Index count_, first_index_;
  Bf16Update mode_;
  Key key_;
  Remembered<Compute> copy_;
};

inline void require_option(bool holds, const char* message) {
  if (!holds) throw ValueError(message);
}

/// The element type of flat parameters, or of a gradient.
template <class Flat>
using flat_element = std::remove_const_t<
    typename std::remove_cvref_t<decltype(std::declval<const Flat&>().values())>::element_type>;

}  // namespace detail

/// An optimizer of all parameters of a model, by one slice that spans them.
template <class Model, template <class> class Slice, class Options>
class ModelOptimizer {
  using Parameter = detail::flat_element<decltype(parameters(std::declval<const Model&>()))>;

 public:
  /// Throws ValueError for options out of range.
  explicit ModelOptimizer(const Model& model, const Options& options = {})
      : slice_{parameters(model).values(), 0, options} {}

  /// One update of the model's parameters, in place.
  template <class Gradient>
  void step(Model& model, const Gradient& gradient, const UpdateOptions& now = {}) {
    using G = detail::flat_element<Gradient>;
    slice_.step(parameters(model).values(), std::span<const G>{gradient.values()}, now);
  }

  /// All that is remembered, for checkpoints.
  auto state() { return slice_.state(); }
  const Options& options() const { return slice_.options(); }

 private:
  Slice<Parameter> slice_;
};

}  // namespace burrow
