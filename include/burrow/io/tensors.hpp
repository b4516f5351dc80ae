// Tensors over mapped files, without a copy, and tensors as what files are written from.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <burrow/io/npy.hpp>
#include <burrow/io/npz.hpp>
#include <burrow/io/safetensors.hpp>
#include <burrow/tensor/tensor.hpp>

namespace burrow {

namespace detail {

/// A block whose memory is a part of a mapped file, which it keeps mapped.
struct MappedBlock : Block {
  std::shared_ptr<const MappedFile> file;
};

inline Storage mapped_storage(std::shared_ptr<const MappedFile> file, std::span<const std::byte> bytes) {
  auto* const block = new MappedBlock;
  block->file = std::move(file);
  block->data = const_cast<std::byte*>(bytes.data());  // read_only: tensors copy before they write
  block->bytes = static_cast<Index>(bytes.size());
  block->references.store(1, std::memory_order_relaxed);
  block->release = [](Block* b) { delete static_cast<MappedBlock*>(b); };
  block->read_only = true;
  return Storage{block};
}

/// S with the extents of a file's tensor. Throws IoError where they do not fit.
template <class S>
S stored_shape(std::span<const std::int64_t> extents, const std::string& where) {
  constexpr auto& expected = S::extents;
  bool fits = extents.size() == expected.size();
  typename std::remove_cvref_t<decltype(std::declval<const S&>().values())> values{};
  for (std::size_t i = 0; fits && i < extents.size(); ++i) {
    values[i] = static_cast<Index>(extents[i]);
    fits = expected[i] == dyn || expected[i] == values[i];
  }
  if (!fits)
    throw IoError(where + ": is of " + shape_text(extents.data(), extents.size()) + ", expected " +
                  shape_text(expected.data(), expected.size()));
  return S{values};
}

template <class T, class S>
Tensor<T, S> tensor_over(std::shared_ptr<const MappedFile> file, std::span<const std::byte> bytes,
                         StoredType dtype, std::span<const std::int64_t> extents, const std::string& where) {
  file->check_size();
  const S shape = stored_shape<S>(extents, where);
  const auto values = values_of<T>(bytes, dtype, where);
  if (values.empty()) return Tensor<T, S>{shape};
  return Tensor<T, S>::over(
      View<T, S>{Buffer<Cpu>{mapped_storage(std::move(file), bytes)}, const_cast<T*>(values.data()), shape});
}

template <class S>
std::vector<std::int64_t> extents_of(const S& shape) {
  const auto& values = shape.values();
  return {values.begin(), values.end()};
}

}  // namespace detail

/// The tensor of that name as a Tensor<T, S> over the mapped file: no copy is made, pages are read on first
/// use, and the file stays mapped as long as the tensor or a copy of it lives. Writing to the tensor first
/// makes a copy of its own; the file never changes. Extents of S may be dyn. Throws IoError when there is no
/// such tensor, it is of another type or shape or unaligned, or the file's size has changed.
template <Element T, class S>
Tensor<T, S> mapped_tensor(const SafetensorsFile& file, std::string_view name) {
  const TensorEntry& entry = file.at(name);
  return detail::tensor_over<T, S>(file.mapping(), entry.bytes, entry.dtype, entry.shape,
                                   file.path().string() + ": tensor '" + std::string(name) + "'");
}

/// The array of an .npy file as a Tensor<T, S> over the mapped file; as above.
template <Element T, class S>
Tensor<T, S> mapped_tensor(const NpyFile& file) {
  return detail::tensor_over<T, S>(file.mapping(), file.bytes(), file.dtype(), file.shape(),
                                   file.path().string());
}

/// The array of that name in an .npz file as a Tensor<T, S> with elements of its own: in an archive they are
/// rarely aligned. Throws IoError as `NpzFile::at`, and for another type or shape.
template <Element T, class S>
Tensor<T, S> read_tensor(const NpzFile& file, std::string_view name) {
  const std::string where = file.path().string() + ": array '" + std::string(name) + "'";
  const NpzArray array = file.at(name);
  Tensor<T, S> result{detail::stored_shape<S>(array.shape, where)};
  copy_values<T>(array.bytes, array.dtype, result.values(), where);
  return result;
}

/// The entry that writes a tensor to a safetensors file; it points to the tensor's elements.
template <Element T, class S>
TensorEntry tensor_entry(std::string name, const Tensor<T, S>& tensor) {
  return tensor_entry<T>(std::move(name), detail::extents_of(tensor.shape()), tensor.values());
}

/// Writes a tensor as an .npy file.
template <Element T, class S>
void write_npy(const std::filesystem::path& path, const Tensor<T, S>& tensor) {
  write_npy<T>(path, detail::extents_of(tensor.shape()), tensor.values());
}

/// The named array that writes a tensor to an .npz file; it points to the tensor's elements.
template <Element T, class S>
NamedArray named_array(std::string name, const Tensor<T, S>& tensor) {
  return {std::move(name),
          {stored_type<T>, detail::extents_of(tensor.shape()), std::as_bytes(tensor.values())}};
}

}  // namespace burrow
