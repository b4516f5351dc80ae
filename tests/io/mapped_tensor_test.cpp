#include <burrow/io/tensors.hpp>
#include <catch2/catch.hpp>
#include <optional>

#include "tests/io/temporary_directory.hpp"

namespace {

using namespace burrow;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

const Tensor<float, Shape<2, 3>> six{1, 2, 3, 4, 5, 6};

template <class S>
bool holds_six(const Tensor<float, S>& tensor) {
  return std::ranges::equal(tensor.values(), six.values());
}

}  // namespace

TEST_CASE("a mapped tensor has the file's values, not a copy, and outlives the file object", "[mapped]") {
  const TemporaryDirectory directory;
  const auto path = directory / "a.safetensors";
  const Tensor<double, Shape<dyn>> none{Shape<dyn>{{0}}};
  write_safetensors(path, std::vector{tensor_entry("six", six), tensor_entry("none", none)});
  std::optional<SafetensorsFile> file{path};
  const auto fixed = mapped_tensor<float, Shape<2, 3>>(*file, "six");
  const auto open = mapped_tensor<float, Shape<dyn, 3>>(*file, "six");
  CHECK(std::as_const(fixed).data() == file->values<float>("six").data());
  CHECK(mapped_tensor<double, Shape<dyn>>(*file, "none").size() == 0);
  file.reset();
  write_atomically(path, "something else");
  CHECK(holds_six(fixed));
  CHECK(open.shape()[0] == 2);
  CHECK(Tensor(open * 2)(1, 2) == 12);
}

TEST_CASE("writing to a mapped tensor changes neither the file nor other tensors", "[mapped]") {
  const TemporaryDirectory directory;
  const auto path = directory / "a.safetensors";
  write_safetensors(path, std::vector{tensor_entry("six", six)});
  const auto before = read_text(path);
  const SafetensorsFile file{path};
  auto written = mapped_tensor<float, Shape<2, 3>>(file, "six");
  const auto other = mapped_tensor<float, Shape<2, 3>>(file, "six");
  written(0, 0) = 7;
  written += other;
  CHECK(written(0, 0) == 8);
  CHECK(holds_six(other));
  CHECK(read_text(path) == before);
}

TEST_CASE("a mapped tensor is of the type and shape that was asked for", "[mapped]") {
  const TemporaryDirectory directory;
  const auto path = directory / "a.safetensors";
  write_safetensors(path, std::vector{tensor_entry("six", six)});
  const SafetensorsFile file{path};
  const std::string where = path.string() + ": tensor 'six': ";
  CHECK_THROWS_WITH((mapped_tensor<double, Shape<2, 3>>(file, "six")),
                    where + "holds float, expected double");
  CHECK_THROWS_WITH((mapped_tensor<float, Shape<2, 4>>(file, "six")),
                    where + "is of Shape<2, 3>, expected Shape<2, 4>");
  CHECK_THROWS_WITH((mapped_tensor<float, Shape<dyn>>(file, "six")),
                    where + "is of Shape<2, 3>, expected Shape<dyn>");
  CHECK_THROWS_WITH((mapped_tensor<float, Shape<dyn>>(file, "five")), EndsWith("has no tensor 'five'"));
}

TEST_CASE("a file whose size changes after it was opened is refused before it is read", "[mapped]") {
  const TemporaryDirectory directory;
  const auto path = directory / "a.safetensors", array = directory / "a.npy", archive = directory / "a.npz";
  write_safetensors(path, std::vector{tensor_entry("six", six)});
  write_npy(array, six);
  write_npz(archive, std::vector{named_array("six", six)});
  const SafetensorsFile file{path};
  const NpyFile npy{array};
  const NpzFile npz{archive};
  const auto size = std::filesystem::file_size(path);
  for (const auto change : {-4, 4}) {
    for (const auto& each : {path, array, archive})
      std::filesystem::resize_file(
          each,
          static_cast<std::uintmax_t>(static_cast<std::int64_t>(std::filesystem::file_size(each)) + change));
    CHECK_THROWS_WITH(
        (mapped_tensor<float, Shape<2, 3>>(file, "six")),
        Contains(path.string() + ": has ") && Contains(" bytes, but had " + std::to_string(size)));
    CHECK_THROWS_AS(file.values<float>("six"), IoError);
    CHECK_THROWS_AS((mapped_tensor<float, Shape<2, 3>>(npy)), IoError);
    CHECK_THROWS_AS(npz.at("six"), IoError);
    for (const auto& each : {path, array, archive})
      std::filesystem::resize_file(
          each,
          static_cast<std::uintmax_t>(static_cast<std::int64_t>(std::filesystem::file_size(each)) - change));
  }
  file.mapping()->check_size();
}

TEST_CASE("tensors go into .npy and .npz files and come back", "[mapped]") {
  const TemporaryDirectory directory;
  write_npy(directory / "a.npy", six);
  CHECK(holds_six(mapped_tensor<float, Shape<2, dyn>>(NpyFile{directory / "a.npy"})));
  const Tensor<std::int32_t, Shape<>> scalar{Shape<>{}, std::vector<std::int32_t>{-7}};
  write_npz(directory / "a.npz", std::vector{named_array("six", six), named_array("scalar", scalar)});
  const NpzFile file{directory / "a.npz"};
  CHECK(holds_six(read_tensor<float, Shape<dyn, dyn>>(file, "six")));
  CHECK(read_tensor<std::int32_t, Shape<>>(file, "scalar").item() == -7);
  CHECK_THROWS_WITH((read_tensor<float, Shape<3, 2>>(file, "six")),
                    EndsWith("array 'six': is of Shape<2, 3>, expected Shape<3, 2>"));
  CHECK_THROWS_WITH((read_tensor<std::int32_t, Shape<2, 3>>(file, "six")),
                    EndsWith("array 'six': holds float, expected int32"));
}
