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
Model clone(const Model& model, Location where = Location::here()) {
  using T = detail::module_element_of<Model>;
  const detail::DeviceMemory& memory =
      detail::memory_of(model, where);  // refuses a model without elements by name
  std::vector<const T*> values;
  for_each_parameter(model, [&](const std::string&, const auto& p) { values.push_back(p.data()); });
  Model copy = detail::without_elements(model);
  detail::place(copy, where);
  std::size_t number = 0;
  for_each_parameter(copy, [&](const std::string&, auto& p) {
    const T* const from = values[number++];
    if (p.size() > 0) memory.copy(p.data(), from, p.size() * Index{sizeof(T)});
  });
  return copy;
}

/// Copies a built model's values to another built model with parameters of the same names, shapes and element
/// type, be they on another device. Throws Error where names or shapes differ.
template <Module From, Module To>
void copy_parameters(const From& from, To& to, Location where = Location::here()) {
  using T = detail::module_element_of<From>;
  static_assert(std::same_as<T, detail::module_element_of<To>>,
                "copy_parameters: the parameters of both models have the same element type");
  std::vector<std::pair<std::string, const T*>> values;
  for_each_parameter(from, [&](const std::string& name, const auto& p) {
    values.emplace_back(name + " " + p.shape().text(), p.data());
  });
  std::size_t number = 0;
  for_each_parameter(to, [&](const std::string& name, auto& p) {
    const std::string own = name + " " + p.shape().text();
    const std::string other = number < values.size() ? values[number].first : "nothing";
    if (own != other)
      throw Error("copy_parameters: the models differ: " + own + " here, " + other + " there" + at(where));
    if (p.size() > 0)
      copy_bytes(detail::module_device_of<From>{}, detail::module_device_of<To>{}, p.data(),
                 values[number].second, p.size() * Index{sizeof(T)});
    ++number;
  });
  if (number != values.size())
    throw Error("copy_parameters: the models differ: " + values[number].first + " has no counterpart" +
                at(where));
}

/// A model's values as another type of model, which differs in its device: `to<Mlp<Float32<Cuda>>>(model)`.
/// Extents are static, or those of `To::make()`; else build the other model and use copy_parameters. Throws
/// Error where names or shapes differ.
template <class To, class From>
requires(!std::derived_from<To, detail::Device> && Module<To> && Module<From>) To
    to(const From& from, Location where = Location::here()) {
  To model = [] {
    if constexpr (requires { To::make(); })
      return To::make();
    else
      return To{};
  }();
  detail::place(model, where);
  copy_parameters(from, model, where);
  return model;
}

}  // namespace burrow
