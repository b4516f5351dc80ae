// Tensors that several files hold in pieces, as ranks write them: each entry of a safetensors file is a box
// of a logical tensor, and is named after it: "blocks.3.mlp.up.weight[0:64,128:256]"; a whole tensor has its
// plain name.
//
//   const SlicedTensors saved{{SafetensorsFile{"0.safetensors"}, SafetensorsFile{"1.safetensors"}}};
//   saved.read({"embedding.table", {32000, 512}, {0, 0}, {16000, 512}}, rows);
#pragma once

#include <charconv>
#include <functional>
#include <map>
#include <numeric>
#include <optional>

#include <burrow/io/model.hpp>

namespace burrow {

/// A box of a logical tensor: its elements from `begin` on, `extents` of them along each axis.
struct TensorSlice {
  std::string name;                 ///< of the whole tensor
  std::vector<std::int64_t> shape;  ///< likewise
  std::vector<std::int64_t> begin, extents;

  bool whole() const { return extents == shape; }
  Index size() const {
    return std::accumulate(extents.begin(), extents.end(), Index{1}, std::multiplies<>{});
  }
};

/// What a rank has of one parameter. `counted` is false where another rank has the same elements and answers
/// for them, in sums of squares and in files.
struct ParameterSlice : TensorSlice {
  bool counted = true;
};

/// The parameters of a model, or what this rank has of them, in the order of `for_each_parameter`.
template <Module Model>
std::vector<ParameterSlice> parameter_slices(const Model& model) {
  std::vector<ParameterSlice> all;
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    const auto& extents = p.shape().values();
    const ParameterShare& share = p.share();
    const std::vector<std::int64_t> own{extents.begin(), extents.end()};
    ParameterSlice slice{{name, own, std::vector<std::int64_t>(own.size()), own}, share.counted};
    if (share.axis >= 0) {
      slice.shape[static_cast<std::size_t>(share.axis)] = share.whole;
      slice.begin[static_cast<std::size_t>(share.axis)] = share.first;
    }
    all.push_back(std::move(slice));
  });
  return all;
}

namespace detail {

/// Called with a box and where its elements begin.
using BoxBody = std::function<void(const TensorSlice&, Index)>;

/// Calls body(box, offset) for the boxes that make up the elements [first, last) of a slice, counted row by
/// row; `offset` counts from `first`.
inline void for_each_box(const TensorSlice& slice, Index first, Index last, const BoxBody& body,
                         std::size_t axis = 0) {
  if (first >= last) return;
  Index inner = 1;
  for (std::size_t i = axis + 1; i < slice.extents.size(); ++i) inner *= slice.extents[i];
  const auto rows = [&](Index from, Index count) {
    TensorSlice part = slice;
    if (axis >= part.begin.size()) return part;
    part.begin[axis] += from;
    part.extents[axis] = count;
    return part;
  };
  const auto in_row = [&](Index row, Index from, Index to) {
    const auto shifted = [&](const TensorSlice& box, Index offset) {
      body(box, row * inner + from + offset - first);
    };
    for_each_box(rows(row, 1), from, to, shifted, axis + 1);
  };
  const Index begin_row = (first + inner - 1) / inner, end_row = last / inner;  // whole rows
  if (begin_row > end_row) return in_row(end_row, first % inner, last % inner);
  if (first % inner != 0) in_row(begin_row - 1, first % inner, inner);
  if (begin_row < end_row) body(rows(begin_row, end_row - begin_row), begin_row * inner - first);
  in_row(end_row, 0, last % inner);
}

/// What a part of an optimizer's state has for a parameter; nothing where it has nothing for it.
inline std::optional<ParameterSlice> state_slice(const ParameterSlice& parameter, StateExtent extent) {
  const std::vector<Index> shape(parameter.shape.begin(), parameter.shape.end());
  const auto kept = state_extents(extent, shape);
  if (!kept) return {};
  ParameterSlice slice = parameter;
  slice.shape = *kept;
  for (auto* const values : {&slice.begin, &slice.extents}) {
    if (extent == StateExtent::rows) values->pop_back();
    if (extent == StateExtent::columns) values->erase(values->begin(), values->end() - 1);
  }
  return slice;
}

}  // namespace detail

/// Calls f(slice, offset) for all boxes that make up the values [first, last) of a flat array, which has
/// those of one parameter after the other; `offset` counts from `first`. The array is the parameters, or a
/// part of an optimizer's state with that extent; names start with `prefix`.
template <class F>
void for_each_slice(std::span<const ParameterSlice> parameters, StateExtent extent, const std::string& prefix,
                    Index first, Index last, const F& f) {
  Index at = 0;
  for (const ParameterSlice& parameter : parameters) {
    auto slice = detail::state_slice(parameter, extent);
    if (!slice) continue;
    slice->name = prefix + slice->name;
    const Index from = std::max(first, at), to = std::min(last, at + slice->size());
    detail::for_each_box(*slice, from - at, to - at, [&](const TensorSlice& box, Index offset) {
      f(ParameterSlice{box, parameter.counted}, from + offset - first);
    });
    at += slice->size();
  }
}

/// The entries that write the values [first, first + values.size()) of such an array, those that this rank
/// answers for. They point into `values`.
template <Element T>
std::vector<TensorEntry> slice_entries(std::span<const ParameterSlice> parameters, StateExtent extent,
                                       const std::string& prefix, Index first, std::span<const T> values) {
  std::vector<TensorEntry> entries;
  const auto add = [&](const ParameterSlice& slice, Index offset) {
    if (!slice.counted) return;
    std::string name = slice.name;
    for (std::size_t i = 0; i < slice.begin.size() && !slice.whole(); ++i)
      name += (i == 0 ? "[" : ",") + std::to_string(slice.begin[i]) + ":" +
              std::to_string(slice.begin[i] + slice.extents[i]) + (i + 1 == slice.begin.size() ? "]" : "");
    entries.push_back(tensor_entry<T>(
        std::move(name), slice.extents,
        values.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(slice.size()))));
  };
  for_each_slice(parameters, extent, prefix, first, first + static_cast<Index>(values.size()), add);
  return entries;
}

/// The tensors that files hold together, whole or in boxes, by their logical names.
class SlicedTensors {
 public:
  /// `files` has one at least; messages name the first. Throws IoError where an entry's name is not what its
  /// shape says.
  explicit SlicedTensors(std::vector<SafetensorsFile> files) : files_{std::move(files)} {
    for (std::size_t i = 0; i < files_.size(); ++i)
      for (const TensorEntry& entry : files_[i].entries()) add(i, entry);
  }

  const SafetensorsFile& first_file() const { return files_.front(); }

  /// Reads a slice, row by row, whatever boxes it lies in. Throws IoError where the files have no such tensor
  /// or not all of the slice, or the tensor is of another type or shape.
  template <Element T>
  void read(const TensorSlice& wanted, std::span<T> values) const {
    const auto pieces = pieces_.find(wanted.name);
    if (pieces == pieces_.end()) throw IoError(name() + ": has no tensor '" + wanted.name + "'");
    check_shape(wanted, pieces->second);
    Index read = 0;
    for (const Piece& piece : pieces->second) {
      const auto from = files_[piece.file].values<T>(piece.entry->name);
      read += copy_overlap(piece, from.data(), wanted, values.data(), 0);
    }
    if (read != wanted.size())
      throw IoError(name() + ": of tensor '" + wanted.name + "' " + std::to_string(wanted.size() - read) +
                    " elements of " + std::to_string(wanted.size()) + " are missing");
  }

  /// Reads the values [first, first + values.size()) of a flat array; see `for_each_slice`.
  template <Element T>
  void read(std::span<const ParameterSlice> parameters, StateExtent extent, const std::string& prefix,
            Index first, std::span<T> values) const {
    for_each_slice(parameters, extent, prefix, first, first + static_cast<Index>(values.size()),
                   [&](const ParameterSlice& slice, Index offset) {
                     read(slice, values.subspan(static_cast<std::size_t>(offset),
                                                static_cast<std::size_t>(slice.size())));
                   });
  }

 private:
  /// An entry of a file: the box of its tensor that starts at `begin`.
  struct Piece {
    std::size_t file;
    const TensorEntry* entry;
    std::vector<std::int64_t> begin;
  };

  std::string name() const { return files_.front().path().string(); }

  void add(std::size_t file, const TensorEntry& entry) {
    const std::size_t bracket = std::min(entry.name.find('['), entry.name.size());
    Piece piece{file, &entry, std::vector<std::int64_t>(entry.shape.size())};
    std::string_view rest = std::string_view{entry.name}.substr(bracket);
    for (std::size_t i = 0; i < entry.shape.size() && !rest.empty(); ++i) {
      rest.remove_prefix(1);
      const auto begin = number(rest, ':'), end = number(rest, i + 1 == entry.shape.size() ? ']' : ',');
      if (!begin || !end || *end - *begin != entry.shape[i]) refuse(file, entry);
      piece.begin[i] = *begin;
    }
    if (rest != "" && rest != "]") refuse(file, entry);
    pieces_[entry.name.substr(0, bracket)].push_back(std::move(piece));
  }

  /// The number in front of `mark`, to which `rest` is shortened.
  static std::optional<std::int64_t> number(std::string_view& rest, char mark) {
    if (!rest.empty() && (rest.front() == ':' || rest.front() == ',')) rest.remove_prefix(1);
    std::int64_t value = -1;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (error != std::errc{} || value < 0 || rest.empty() || rest.front() != mark) return {};
    return value;
  }

  [[noreturn]] void refuse(std::size_t file, const TensorEntry& entry) const {
    throw IoError(files_[file].path().string() + ": tensor '" + entry.name + "' is of " +
                  detail::shape_text(entry.shape.data(), entry.shape.size()) +
                  ", which its name contradicts");
  }

  void check_shape(const TensorSlice& wanted, const std::vector<Piece>& pieces) const {
    std::vector<std::int64_t> shape(pieces.front().begin.size());
    bool same_rank = true;
    for (const Piece& piece : pieces) {
      same_rank = same_rank && piece.begin.size() == shape.size();
      for (std::size_t i = 0; i < shape.size() && same_rank; ++i)
        shape[i] = std::max(shape[i], piece.begin[i] + piece.entry->shape[i]);
    }
    if (same_rank && shape == wanted.shape) return;
    throw IoError(name() + ": tensor '" + wanted.name + "' is of " +
                  detail::shape_text(shape.data(), shape.size()) + " where the model has " +
                  detail::shape_text(wanted.shape.data(), wanted.shape.size()));
  }

  /// Copies what a piece has of a slice, from axis `axis` on; returns the number of elements.
  template <class T>
  static Index copy_overlap(const Piece& piece, const T* from, const TensorSlice& wanted, T* to,
                            std::size_t axis) {
    const auto& extents = piece.entry->shape;
    if (axis == extents.size()) {
      *to = *from;
      return 1;
    }
    const Index begin = std::max(piece.begin[axis], wanted.begin[axis]);
    const Index end = std::min(piece.begin[axis] + extents[axis], wanted.begin[axis] + wanted.extents[axis]);
    Index from_inner = 1, to_inner = 1;
    bool rows_whole = true;
    for (std::size_t i = axis + 1; i < extents.size(); ++i) {
      from_inner *= extents[i];
      to_inner *= wanted.extents[i];
      rows_whole = rows_whole && extents[i] == wanted.extents[i] && piece.begin[i] == wanted.begin[i];
    }
    from += (begin - piece.begin[axis]) * from_inner;
    to += (begin - wanted.begin[axis]) * to_inner;
    if (begin >= end) return 0;
    if (rows_whole) {
      std::copy_n(from, (end - begin) * from_inner, to);
      return (end - begin) * from_inner;
    }
    Index copied = 0;
    for (Index row = begin; row < end; ++row, from += from_inner, to += to_inner)
      copied += copy_overlap(piece, from, wanted, to, axis + 1);
    return copied;
  }

  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::vector<Piece>, std::less<>> pieces_;
};

}  // namespace burrow
