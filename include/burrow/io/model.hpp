// Models in safetensors files: one tensor to a parameter, named after the struct's members.
#pragma once

#include <map>

#include <burrow/io/safetensors.hpp>
#include <burrow/nn/module.hpp>
#include <burrow/optim/update.hpp>

namespace burrow {

/// The entries that write a flat array laid out as a model's parameters (the parameters themselves, a
/// gradient, an optimizer's moments), one to a parameter: `prefix` + its name, with its shape. They point
/// into `flat`, or to a copy where the model, and so the array, lies on another device than the host.
template <Module Model, class T>
std::vector<TensorEntry> tensor_entries(const Model& model, std::span<T> flat,
                                        const std::string& prefix = "") {
  std::vector<TensorEntry> entries;
  const detail::HostValues<T> values{detail::memory_of(model), flat};
  values.get();
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    const auto& extents = p.shape().values();
    const std::span<const T> part =
        values.values().subspan(static_cast<std::size_t>(p.offset()), static_cast<std::size_t>(p.size()));
    entries.push_back(
        tensor_entry<std::remove_const_t<T>>(prefix + name, {extents.begin(), extents.end()}, part));
    entries.back().kept = values.storage();
  });
  return entries;
}

/// Reads into a flat array laid out as a model's parameters what `tensor_entries` wrote. Throws IoError where
/// a tensor is missing, or has another type or shape.
template <Module Model, class T>
void read_tensors(const SafetensorsFile& file, const Model& model, std::span<T> flat,
                  const std::string& prefix = "") {
  const detail::HostValues<T> values{detail::memory_of(model), flat};
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    const TensorEntry& entry = file.at(prefix + name);
    const auto& extents = p.shape().values();
    if (!std::equal(extents.begin(), extents.end(), entry.shape.begin(), entry.shape.end()))
      throw IoError(file.path().string() + ": tensor '" + prefix + name + "' is of " +
                    detail::shape_text(entry.shape.data(), entry.shape.size()) + " where the model has " +
                    p.shape().text());
    file.copy_to(prefix + name, values.values().subspan(static_cast<std::size_t>(p.offset()),
                                                        static_cast<std::size_t>(p.size())));
  });
  values.put();
}

namespace detail {

/// The extents of what a part of an optimizer's state holds for a parameter of those extents; nothing where
/// it holds nothing for it.
inline std::optional<std::vector<std::int64_t>> state_extents(StateExtent extent,
                                                              std::span<const Index> extents) {
  std::vector<std::int64_t> all(extents.begin(), extents.end());
  if (extent == StateExtent::elements) return all;
  const bool is_matrix = parameter_place(0, extents).is_matrix();
  if (is_matrix == (extent == StateExtent::elements_of_vectors)) return {};
  if (extent == StateExtent::rows) all.pop_back();
  if (extent == StateExtent::columns) all.erase(all.begin(), all.end() - 1);
  return all;
}

/// Calls f(name, extents, values) for each parameter that the part has values for, which the host has now.
template <Module Model, class C, class F>
void for_each_state(const Model& model, const NamedValues<C>& part, std::span<C> rest,
                    const std::string& prefix, const F& f) {
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    const auto& shape = p.shape().values();
    auto extents = state_extents(part.extent, {shape.data(), shape.size()});
    if (!extents) return;
    std::size_t size = 1;
    for (const std::int64_t extent : *extents) size *= static_cast<std::size_t>(extent);
    f(prefix + std::string(part.name) + "." + name, *std::move(extents), rest.first(size));
    rest = rest.subspan(size);
  });
}

}  // namespace detail

/// The entries that write a part of a model's optimizer's state: `prefix` + the part's name + "." + the
/// parameter's name. They point into the state, or to a copy where the model lies on another device.
template <Module Model, class C>
std::vector<TensorEntry> tensor_entries(const Model& model, const NamedValues<C>& part,
                                        const std::string& prefix = "") {
  std::vector<TensorEntry> entries;
  const detail::HostValues<C> held{detail::memory_of(model), part.values};
  held.get();
  detail::for_each_state(model, part, held.values(), prefix,
                         [&](std::string name, std::vector<std::int64_t> extents, std::span<C> values) {
                           entries.push_back(tensor_entry<C>(std::move(name), std::move(extents), values));
                           entries.back().kept = held.storage();
                         });
  return entries;
}

/// Reads into a part of an optimizer's state what `tensor_entries` wrote. Throws IoError where a tensor is
/// missing, or has another type or shape.
template <Module Model, class C>
void read_tensors(const SafetensorsFile& file, const Model& model, const NamedValues<C>& part,
                  const std::string& prefix = "") {
  const detail::HostValues<C> held{detail::memory_of(model), part.values};
  detail::for_each_state(
      model, part, held.values(), prefix,
      [&](const std::string& name, const std::vector<std::int64_t>& extents, std::span<C> values) {
        if (const auto& shape = file.at(name).shape; shape != extents)
          throw IoError(file.path().string() + ": tensor '" + name + "' is of " +
                        detail::shape_text(shape.data(), shape.size()) + " where the optimizer has " +
                        detail::shape_text(extents.data(), extents.size()));
        file.copy_to(name, values);
      });
  held.put();
}

/// Writes a built model to a safetensors file, whole or not at all. Throws IoError.
template <Module Model>
void save(const std::filesystem::path& path, const Model& model,
          const std::map<std::string, std::string>& metadata = {}, Location where = Location::here()) {
  const auto flat = parameters(model, where).values();
  write_safetensors(path, tensor_entries(model, flat), metadata, where);
}

/// Reads a built model's parameters from a file that `save` wrote. Throws IoError where the file is not
/// whole, or a parameter is missing, or of another type or shape; the model may then be read in part.
template <Module Model>
void load(const std::filesystem::path& path, Model& model, Location where = Location::here()) {
  const SafetensorsFile file{path};
  read_tensors(file, model, parameters(model, where).values());
}

}  // namespace burrow
