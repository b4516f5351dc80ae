// An optimizer of a whole model, made from one that updates a slice of a flat buffer.
#pragma once

#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include <burrow/optim/groups.hpp>
#include <burrow/optim/update.hpp>

namespace burrow {

namespace detail {

/// The element type of flat parameters, or of a gradient.
template <class Flat>
using flat_element = std::remove_const_t<
    typename std::remove_cvref_t<decltype(std::declval<const Flat&>().values())>::element_type>;

/// The layout of a model's parameters: the one given, or one without groups.
template <Module Model>
ParameterLayout layout_for(const Model& model, ParameterLayout given, Location where) {
  if (given.empty()) return parameter_groups(model);
  const Index size = parameters(model).store().size;
  if (given.back().end() != size)
    throw ShapeError("optimizer: the groups are those of a model of " + std::to_string(given.back().end()) +
                     " parameters, this one has " + std::to_string(size) + at(where));
  return given;
}

}  // namespace detail

/// An optimizer of all parameters of a model, by one slice that spans them. It takes memory for what it
/// remembers when it is first used, so that `Sharded` can take its place before that.
template <class Model, template <class, class> class Slice>
class ModelOptimizer {
  using Parameter = detail::flat_element<decltype(parameters(std::declval<const Model&>()))>;
  using Options = typename Slice<Parameter, detail::module_device_of<Model>>::Options;

 public:
  using model_type = Model;
  using slice_type = Slice<Parameter, detail::module_device_of<Model>>;

  /// `groups` come from `parameter_groups(model, ...)`; without them all parameters are updated alike. Throws
  /// ValueError for options out of range, ShapeError for the groups of another model.
  explicit ModelOptimizer(const Model& model, const Options& options = {}, ParameterLayout groups = {},
                          Location where = Location::here())
      : parameters_{parameters(model, where)},
        layout_{detail::layout_for(model, std::move(groups), where)},
        slice_{std::span<const Parameter>{}, 0, options, layout_, where} {}

  /// One update of the model's parameters, in place. Given the gradient of some of them, as
  /// `value_and_grad(wrt(...), f)` makes it, the others and their moments stay.
  template <class Gradient>
  void step(Model& model, const Gradient& gradient, UpdateOptions now = {},
            Location where = Location::here()) {
    using G = detail::flat_element<Gradient>;
    if constexpr (requires { gradient.ranges(); }) now.only = gradient.ranges();
    slice().step(parameters(model, where).values(), std::span<const G>{gradient.values()}, now, where);
  }

  template <class Other>
  requires(!std::same_as<Other, Model> &&
           !detail::is_selection<Other>) auto step(Model&, const burrow::Gradient<Other>&,
                                                   const UpdateOptions& = {})
      -> misuse::gradient_of_another_model<Model, Other>;

  /// All that is remembered, for checkpoints.
  auto state() { return slice().state(); }
  const Options& options() const { return slice_.options(); }
  const ParameterLayout& layout() const { return layout_; }
  /// The flat parameters of the model that it was made for.
  const FlatParameters<Parameter>& flat_parameters() const { return parameters_; }
  /// True once it has made a step or its state was asked for.
  bool used() const { return used_; }

 private:
  slice_type& slice() {
    if (!std::exchange(used_, true))
      slice_ = slice_type{parameters_.values(), 0, Options{slice_.options()}, layout_};
    return slice_;
  }

  FlatParameters<Parameter> parameters_;
  ParameterLayout layout_;
  slice_type slice_;  // of nothing, with the options, until it is used
  bool used_ = false;
};

}  // namespace burrow
