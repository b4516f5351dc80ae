// A part of a model's parameters, to be differentiated alone: value_and_grad(wrt(model.head), f).
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <burrow/nn/module.hpp>

namespace burrow {

/// Some of the parameters of a built model, as ranges of its flat storage; made by `wrt`. It stands where a
/// model stands in `value_and_grad`, `accumulate_gradient` and `Gradient`.
template <Real T, class D>
class ParameterSelection {
 public:
  ParameterSelection(std::shared_ptr<detail::ParameterStore> store,
                     std::vector<detail::ParameterRange> ranges)
      : store_{std::move(store)}, ranges_{std::move(ranges)} {}

  const std::shared_ptr<detail::ParameterStore>& store() const { return store_; }
  /// In rising order, without gaps of size 0.
  const std::vector<detail::ParameterRange>& ranges() const { return ranges_; }

 private:
  std::shared_ptr<detail::ParameterStore> store_;
  std::vector<detail::ParameterRange> ranges_;
};

namespace detail {

template <class T, class D>
struct module_kind<ParameterSelection<T, D>> {
  using type = ParameterKind<T, D>;
};

/// Sorts ranges and joins those that touch.
template <class Range>
std::vector<Range> joined_ranges(std::vector<Range> ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> result;
  for (const auto& range : ranges)
    if (!result.empty() && range.begin <= result.back().end)
      result.back().end = std::max(result.back().end, range.end);
    else
      result.push_back(range);
  return result;
}

}  // namespace detail

/// The whole model's flat parameters, of which a part is selected.
template <class T, class D>
auto parameters(const ParameterSelection<T, D>& selection, Location = {}) {
  return FlatParameters<T>{selection.store()};
}

/// The parameters of these modules, which are parts of one built model (parameters are modules, too). With
/// `value_and_grad(wrt(model.head, model.blocks[3]), f)` the others are constants: their gradient is not
/// computed, and what only they and constants lead to is not recorded. The gradient has the size of the whole
/// model and is zero elsewhere. Throws Error for modules of different models, or without elements.
template <Module First, Module... Rest>
auto wrt(const First& first, const Rest&... rest) {
  using T = detail::module_element_of<First>;
  static_assert((std::same_as<detail::module_element_of<Rest>, T> && ...),
                "wrt: all parameters of a model have the same element type");
  std::shared_ptr<detail::ParameterStore> store;
  std::vector<detail::ParameterRange> ranges;
  const auto add = [&](const std::string& name, const auto& p) {
    if (!p.built())
      throw Error("wrt: '" + name + "' has no elements yet; make the model with build<Model>(key)");
    if (store != nullptr && store != p.store())
      throw Error("wrt: '" + name + "' belongs to another model than the parameters before it");
    store = p.store();
    ranges.push_back({p.offset(), p.offset() + p.size()});
  };
  for_each_parameter(first, add);
  (for_each_parameter(rest, add), ...);
  return ParameterSelection<T, detail::module_device_of<First>>{std::move(store),
                                                                detail::joined_ranges(std::move(ranges))};
}

}  // namespace burrow
