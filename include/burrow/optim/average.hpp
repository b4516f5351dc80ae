// The exponential moving average of a model's parameters, which often does better than the parameters
// themselves (Polyak and Juditsky 1992): updated after each step, exchanged with the parameters to evaluate.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include <burrow/optim/model_optimizer.hpp>

namespace burrow {

/// The numbers of an average. Without bias correction it starts from the parameters given at first; with it,
/// from nothing, and is divided by 1 - decay^updates, so that early values do not weigh it down.
struct AverageOptions {
  double decay = 0.999;
  bool bias_correction = false;  ///< starts from nothing and divides by 1 - decay^updates
};

/// The average of a slice of a flat buffer, fp32, double for double parameters. The result does not depend on
/// the number of threads or slices.
template <Real P>
class AverageSlice {
 public:
  using Compute = compute_type<P>;

  /// Throws ValueError unless 0 <= decay < 1.
  AverageSlice(std::span<const P> parameters, const AverageOptions& options,
               Location where = Location::here())
      : options_{options}, average_(parameters.size()) {
    detail::require_option(options.decay >= 0 && options.decay < 1, "average: the decay is not in [0, 1)",
                           where);
    if (!options.bias_correction) std::copy(parameters.begin(), parameters.end(), average_.begin());
  }

  /// average = decay * average + (1 - decay) * parameters. Throws ShapeError for another number of them.
  void update(std::span<const P> parameters, Location where = Location::here()) {
    using V = Packet<Compute>;
    check(parameters.size(), where);
    const V keep = detail::every_lane<V>(options_.decay);
    const V take = detail::every_lane<V>(1 - options_.decay);
    each_block([&](Index begin, Index n) {
      Compute* const a = average_.data() + begin;
      const P* const p = parameters.data() + begin;
      detail::each_packet<Compute>(n, [&](Index i, auto... rest) {
        (keep * V::load(a + i, rest...) + take * V::load(p + i, rest...)).store(a + i, rest...);
      });
    });
    ++updates_;
  }

  /// Writes the average, rounded to nearest where P is narrower. Throws ShapeError for another number of
  /// values, ValueError where a corrected average had no update yet.
  void write(std::span<P> values, Location where = Location::here()) const {
    using V = Packet<Compute>;
    check(values.size(), where);
    detail::require_option(!options_.bias_correction || updates_ > 0, "average: it had no update yet", where);
    const V factor = detail::every_lane<V>(
        options_.bias_correction ? 1 / (1 - std::pow(options_.decay, static_cast<double>(updates_))) : 1.0);
    each_block([&](Index begin, Index n) {
      const Compute* const a = average_.data() + begin;
      P* const p = values.data() + begin;
      detail::each_packet<Compute>(
          n, [&](Index i, auto... rest) { (factor * V::load(a + i, rest...)).store(p + i, rest...); });
    });
  }

  /// "average", and as `steps` the number of updates.
  OptimizerState<Compute> state() { return {updates_, {{"average", average_}}}; }

  const AverageOptions& options() const { return options_; }

 private:
  void check(std::size_t size, Location where) const {
    if (size != average_.size())
      throw ShapeError("average: " + std::to_string(size) + " parameters, built for " +
                       std::to_string(average_.size()) + at(where));
  }

  template <class Body>
  void each_block(const Body& body) const {
    const auto count = static_cast<Index>(average_.size());
    parallel_for((count + detail::update_block - 1) / detail::update_block, 8, [&](Index first, Index last) {
      const Index begin = first * detail::update_block;
      body(begin, std::min(last * detail::update_block, count) - begin);
    });
  }

  AverageOptions options_;
  Index updates_ = 0;
  detail::Remembered<Compute> average_;
};

/// The average of all parameters of a model.
template <Module Model>
class ParameterAverage {
  using P = detail::module_element_of<Model>;
  static_assert(detail::on_host<detail::module_device_of<Model>>,
                "ParameterAverage: averages models on the CPU alone");

 public:
  /// Throws ValueError unless 0 <= decay < 1.
  explicit ParameterAverage(const Model& model, const AverageOptions& options = {},
                            Location where = Location::here())
      : slice_{parameters(model, where).values(), options, where} {}

  /// Takes the parameters in; to be called after each optimizer step.
  void update(const Model& model, Location where = Location::here()) {
    slice_.update(parameters(model, where).values(), where);
  }

  /// While it lives, the model's parameters are the average; then they are again what they were, bit for bit.
  class [[nodiscard]] Exchange {
   public:
    Exchange(const AverageSlice<P>& average, Model& model, Location where) : model_{&model} {
      const auto values = parameters(model, where).values();
      before_.assign(values.begin(), values.end());
      average.write(values, where);
    }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;
    ~Exchange() { std::copy(before_.begin(), before_.end(), parameters(*model_).values().begin()); }

   private:
    Model* model_;
    detail::Remembered<P> before_;
  };

  /// Puts the average in the model's place until the result's end of life:
  /// `{ const auto averaged = average.exchange(model); evaluate(model); }`. The model must outlive it.
  Exchange exchange(Model& model, Location where = Location::here()) const { return {slice_, model, where}; }

  /// Makes the average the model's parameters, for good: to save it, say.
  void write(Model& model, Location where = Location::here()) const {
    slice_.write(parameters(model, where).values(), where);
  }

  /// "average", for checkpoints.
  auto state() { return slice_.state(); }
  const AverageOptions& options() const { return slice_.options(); }

 private:
  AverageSlice<P> slice_;
};

}  // namespace burrow
