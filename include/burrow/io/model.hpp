// Models in safetensors files: one tensor to a parameter, named after the struct's members.
#pragma once

#include <burrow/io/safetensors.hpp>
#include <burrow/nn/module.hpp>

namespace burrow {

/// The entries that write a flat array laid out as a model's parameters (the parameters themselves, a
/// gradient, an optimizer's moments), one to a parameter: `prefix` + its name, with its shape. They point
/// into `flat`.
template <Module Model, class T>
std::vector<TensorEntry> tensor_entries(const Model& model, std::span<T> flat,
                                        const std::string& prefix = "") {
  std::vector<TensorEntry> entries;
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    const auto& extents = p.shape().values();
    const std::span<const T> part =
        flat.subspan(static_cast<std::size_t>(p.offset()), static_cast<std::size_t>(p.size()));
    entries.push_back(
        tensor_entry<std::remove_const_t<T>>(prefix + name, {extents.begin(), extents.end()}, part));
  });
  return entries;
}

/// Reads into a flat array laid out as a model's parameters what `tensor_entries` wrote. Throws IoError where
/// a tensor is missing, or has another type or shape.
template <Module Model, class T>
void read_tensors(const SafetensorsFile& file, const Model& model, std::span<T> flat,
                  const std::string& prefix = "") {
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    const TensorEntry& entry = file.at(prefix + name);
    const auto& extents = p.shape().values();
    if (!std::equal(extents.begin(), extents.end(), entry.shape.begin(), entry.shape.end()))
      throw IoError(file.path().string() + ": tensor '" + prefix + name + "' is of " +
                    detail::shape_text(entry.shape.data(), entry.shape.size()) + " where the model has " +
                    p.shape().text());
    file.copy_to(prefix + name,
                 flat.subspan(static_cast<std::size_t>(p.offset()), static_cast<std::size_t>(p.size())));
  });
}

/// Writes a built model to a safetensors file, whole or not at all. Throws IoError.
template <Module Model>
void save(const std::filesystem::path& path, const Model& model,
          const std::map<std::string, std::string>& metadata = {}) {
  const auto flat = parameters(model).values();
  write_safetensors(path, tensor_entries(model, flat), metadata);
}

/// Reads a built model's parameters from a file that `save` wrote. Throws IoError where the file is not
/// whole, or a parameter is missing, or of another type or shape; the model may then be read in part.
template <Module Model>
void load(const std::filesystem::path& path, Model& model) {
  const SafetensorsFile file{path};
  read_tensors(file, model, parameters(model).values());
}

}  // namespace burrow
