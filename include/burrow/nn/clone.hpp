// clone(model): another model with the same values.
#pragma once

#include <memory>
#include <vector>

#include <burrow/nn/module.hpp>

namespace burrow {

namespace detail {

/// A copy of a module whose parameters have shapes and rules, and no elements yet.
template <class M>
M without_elements(const M& module) {
  if constexpr (is_parameter<M>) {
    return {module.shape(), module.initializer()};
  } else if constexpr (std::is_void_v<module_element_of<M>>) {
    return module;
  } else if constexpr (Reflectable<M>) {
    return visit_members(module, [](const auto&... member) { return M{without_elements(member)...}; });
  } else if constexpr (requires { std::tuple_size<M>::value; }) {
    return [&]<std::size_t... I>(std::index_sequence<I...>) { return M{without_elements(module[I])...}; }
    (std::make_index_sequence<std::tuple_size_v<M>>{});
  } else {
    M copy;
    copy.reserve(module.size());
    for (const auto& item : module) copy.push_back(without_elements(item));
    return copy;
  }
}

}  // namespace detail

/// A model, or a part of one, with the same values in a storage of its own. What is not a parameter is
/// copied. Throws Error where the model has no elements yet.
template <Module Model>
Model clone(const Model& model) {
  using T = detail::module_element_of<Model>;
  (void)parameters(model);  // refuses a model without elements by name
  std::vector<const T*> values;
  for_each_parameter(model, [&](const std::string&, const auto& p) { values.push_back(p.data()); });
  Model copy = detail::without_elements(model);
  auto store = std::make_shared<detail::ParameterStore>();
  store->size = count_parameters(model);
  Index offset = 0;
  std::size_t number = 0;
  for_each_parameter(copy, [&]<class P>(const std::string&, P& p) {
    if (offset == 0 && !store->storage.data())
      store->storage = Buffer<typename P::device>{store->size * Index{sizeof(T)}};
    p.place(store, offset);
    std::copy_n(values[number++], p.size(), p.data());
    offset += p.size();
  });
  return copy;
}

}  // namespace burrow
