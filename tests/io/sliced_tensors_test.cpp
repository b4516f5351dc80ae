// Boxes of tensors: flat ranges are cut into them without gaps, and what is written in any pieces is read
// back in any others.
#include <burrow/core/key.hpp>
#include <burrow/io/sliced_tensors.hpp>
#include <burrow/nn/layers.hpp>
#include <catch2/catch.hpp>

#include "tests/io/temporary_directory.hpp"

using namespace burrow;
using Catch::Contains;

namespace {

using Extents = std::vector<std::int64_t>;

TensorSlice whole(const std::string& name, const Extents& shape) {
  return {name, shape, Extents(shape.size()), shape};
}

/// The flat index of every element of a box, row by row.
std::vector<Index> indices(const TensorSlice& box) {
  std::vector<Index> all{0};
  for (std::size_t axis = 0; axis < box.shape.size(); ++axis) {
    std::vector<Index> next;
    for (const Index row : all)
      for (Index i = 0; i < box.extents[axis]; ++i)
        next.push_back(row * box.shape[axis] + box.begin[axis] + i);
    all = next;
  }
  return all;
}

/// `all` cut at `cuts` and written to one file each.
SlicedTensors written(const TemporaryDirectory& place, std::span<const ParameterSlice> slices,
                      const std::vector<float>& all, const std::vector<Index>& cuts) {
  std::vector<SafetensorsFile> files;
  Index first = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const Index last = i < cuts.size() ? cuts[i] : static_cast<Index>(all.size());
    const auto part =
        std::span{all}.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first));
    const auto path = place / (std::to_string(i) + ".safetensors");
    write_safetensors(path, slice_entries<float>(slices, StateExtent::elements, "x.", first, part));
    files.emplace_back(path);
    first = last;
  }
  return SlicedTensors{std::move(files)};
}

}  // namespace

TEST_CASE("a flat range is cut into boxes that have its elements in order") {
  for (const Extents& shape : {Extents{}, Extents{7}, Extents{3, 4}, Extents{2, 3, 5}, Extents{2, 1, 3, 2}}) {
    const TensorSlice tensor = whole("t", shape);
    for (Index first = 0; first <= tensor.size(); ++first)
      for (Index last = first; last <= tensor.size(); ++last) {
        std::vector<Index> found;
        detail::for_each_box(tensor, first, last, [&](const TensorSlice& box, Index offset) {
          CHECK(offset == static_cast<Index>(found.size()));
          for (const Index i : indices(box)) found.push_back(i);
        });
        std::vector<Index> wanted(static_cast<std::size_t>(last - first));
        std::iota(wanted.begin(), wanted.end(), first);
        REQUIRE(found == wanted);
      }
  }
}

TEST_CASE("what some ranks wrote in pieces others read in pieces of their own") {
  const TemporaryDirectory place;
  const auto model = build<Linear<5, 7>>(Key{1});
  const auto slices = parameter_slices(model);
  const auto flat = parameters(model).values();
  const std::vector<float> all(flat.begin(), flat.end());
  for (std::uint64_t trial = 0; trial < 20; ++trial) {
    std::vector<Index> cuts;
    for (std::uint64_t i = 0; i < trial % 5; ++i)
      cuts.push_back(static_cast<Index>(Key{trial}.bits(i) % static_cast<std::uint64_t>(all.size() + 1)));
    std::sort(cuts.begin(), cuts.end());
    const auto saved = written(place, slices, all, cuts);
    const auto first = static_cast<std::size_t>(Key{trial}.bits(9) % all.size());
    std::vector<float> some(all.size() - first);
    saved.read(slices, StateExtent::elements, "x.", static_cast<Index>(first), std::span{some});
    CHECK(std::equal(some.begin(), some.end(), all.begin() + static_cast<std::ptrdiff_t>(first)));
  }
}

TEST_CASE("boxes of columns are read from rows") {
  const TemporaryDirectory place;
  std::vector<float> all(6 * 8);
  std::iota(all.begin(), all.end(), 0.0f);
  const ParameterSlice tensor{whole("w", {6, 8})};
  const auto saved = written(place, std::span{&tensor, 1}, all, {13, 29});
  const TensorSlice box{"x.w", {6, 8}, {1, 3}, {4, 5}};
  std::vector<float> values(20);
  saved.read(box, std::span{values});
  const auto expected = indices(box);
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == static_cast<float>(expected[i]));
}

TEST_CASE("a slice that other ranks answer for is read but not written") {
  const TemporaryDirectory place;
  const std::vector<float> all(6, 1.0f);
  ParameterSlice tensor{whole("w", {2, 3})};
  tensor.counted = false;
  CHECK(slice_entries<float>(std::span{&tensor, 1}, StateExtent::elements, "", 0, all).empty());
}

TEST_CASE("what files do not hold together is named") {
  const TemporaryDirectory place;
  const std::vector<float> values(6);
  const auto with = [&](const std::string& name, const Extents& shape) {
    write_safetensors(place / "f", std::array{tensor_entry<float>(name, shape, values)});
    std::vector<SafetensorsFile> files;
    files.emplace_back(place / "f");
    return SlicedTensors{std::move(files)};
  };
  std::vector<float> to(12);
  CHECK_THROWS_WITH(with("w", {2, 3}).read(whole("v", {2, 3}), std::span{to}),
                    Contains("/f: has no tensor 'v'"));
  CHECK_THROWS_WITH(with("w", {2, 3}).read(whole("w", {3, 2}), std::span{to}),
                    Contains("tensor 'w' is of Shape<2, 3> where the model has Shape<3, 2>"));
  CHECK_THROWS_WITH(with("w[2:4,0:3]", {2, 3}).read(whole("w", {4, 3}), std::span{to}),
                    Contains("of tensor 'w' 6 elements of 12 are missing"));
  std::vector<double> wide(6);
  CHECK_THROWS_WITH(with("w", {2, 3}).read(whole("w", {2, 3}), std::span{wide}), Contains("tensor 'w'"));
  for (const char* const name : {"w[0:2]", "w[0:2,0:4]", "w[0:2,0:3", "w[0:2,0:3]x", "w[0:2;0:3]",
                                 "w[-1:1,0:3]", "w[", "w[0:2,0:3,0:1]"}) {
    CAPTURE(name);
    CHECK_THROWS_WITH(with(name, {2, 3}), Contains("which its name contradicts"));
  }
}
