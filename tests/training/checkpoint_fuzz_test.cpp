// Damaged checkpoints: each is read or refused with its path.
#include <array>

#include <burrow/io/file.hpp>
#include <catch2/catch.hpp>

#include "gopher_model/training/checkpoint.hpp"
#include "gopher_model/training/checkpoint_files.hpp"
#include "tests/fuzz.hpp"
#include "tests/tokenizer/corpus.hpp"

namespace gopher::checkpoint_fuzz_test {
namespace {

constexpr ModelSize size{2, 16, 2, 8, 32, 320, 16};
const TrainingState state{.step = 7, .tokens = 448, .sample = 28, .total_steps = 9, .elapsed = 1.5};
const std::array<float, 3> values{1, 2, 3};

void rewrite(const std::string& path, const std::vector<std::byte>& bytes) {
  std::FILE* const file = std::fopen(path.c_str(), "r+b");
  std::fwrite(bytes.data(), 1, bytes.size(), file);
  std::fclose(file);
  std::filesystem::resize_file(path, bytes.size());
}

// Damages the file at `path` again and again, and reads the checkpoint that it is or is a part of.
int damaged(const std::string& path, const std::string& checkpoint, const std::string& name) {
  const auto read = [&](const std::vector<std::byte>& bytes) {
    rewrite(path, bytes);
    const burrow::SlicedTensors tensors = open_checkpoint(checkpoint);
    describe_checkpoint(tensors.first_file());
  };
  const auto whole = fuzzed_bytes(burrow::read_text(path));
  const int count = fuzz(whole, fuzz_rounds(2000), read, name);
  rewrite(path, whole);
  return count;
}

TEST_CASE("damaged checkpoints are read or refused, never more", "[fuzz]") {
  const testing::TemporaryDirectory directory;
  auto metadata = checkpoint_metadata(size, Precision::float32, state, {.seed = 3});
  const std::string one = directory / "one.safetensors", parts = directory / "parts.safetensors";
  burrow::write_safetensors(one, std::array{burrow::tensor_entry<float>("w", {3}, values)}, metadata);
  CHECK(damaged(one, one, one + ": ") > 0);

  metadata[std::string(parts_key)] = "2";
  burrow::write_safetensors(parts, {}, metadata);
  std::filesystem::create_directories(parts_folder(parts));
  for (int part = 0; part < 2; ++part) {
    const std::array entries{burrow::tensor_entry<float>("w" + std::to_string(part), {3}, values)};
    burrow::write_safetensors(part_path(parts, part), entries, part_metadata(metadata, part, 2));
  }
  const std::string folder = directory / "parts.";  // of the manifest and of its parts
  CHECK(damaged(parts, parts, folder) > 0);
  CHECK(damaged(part_path(parts, 1), parts, folder) > 0);
}

}  // namespace
}  // namespace gopher::checkpoint_fuzz_test
