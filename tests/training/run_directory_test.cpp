// A run's directory: nothing is overwritten, one process at a time, and the newest checkpoint always stays.
#include "gopher_model/training/run_directory.hpp"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>
#include <burrow/io/safetensors.hpp>

#include "gopher_model/training/checkpoint_files.hpp"
#include "tests/io/temporary_directory.hpp"

namespace gopher::run_directory_test {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  burrow::write_atomically(path, text);
}

void save(const RunFiles& run, Index step) {
  fs::create_directories(run.root / "checkpoints");
  const std::array<float, 3> values{1, 2, 3};
  const std::array entries{burrow::tensor_entry<float>("w", {3}, values)};
  burrow::write_safetensors(run.checkpoint(step), entries);
}

// Saves a checkpoint of two parts, as two ranks do.
void save_parts(const RunFiles& run, Index step) {
  const std::map<std::string, std::string> manifest{{"step", std::to_string(step)}, {"parts", "2"}};
  const std::array<float, 3> values{1, 2, 3};
  fs::create_directories(parts_folder(run.checkpoint(step)));
  for (int part = 0; part < 2; ++part) {
    const std::array entries{burrow::tensor_entry<float>("w" + std::to_string(part), {3}, values)};
    burrow::write_safetensors(part_path(run.checkpoint(step), part), entries,
                              part_metadata(manifest, part, 2));
  }
  burrow::write_safetensors(run.checkpoint(step), {}, manifest);
}

// Cuts a checkpoint short.
void damage(const RunFiles& run, Index step) { fs::resize_file(run.checkpoint(step), 20); }

std::vector<Index> steps_of(const RunFiles& run) {
  std::vector<Index> steps;
  for (const SavedCheckpoint& saved : run.checkpoints()) steps.push_back(saved.step);
  return steps;
}

std::map<std::string, std::string> content_of(const fs::path& directory) {
  std::map<std::string, std::string> content;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) content[entry.path().string()] = burrow::read_text(entry.path());
  }
  return content;
}

}  // namespace

TEST_CASE("files have their places") {
  const RunFiles run{"runs/a"};
  CHECK(run.configuration() == "runs/a/configuration.toml");
  CHECK(run.metrics() == "runs/a/metrics.jsonl");
  CHECK(run.tokenizer() == "runs/a/tokenizer.model");
  CHECK(run.checkpoint(1234) == "runs/a/checkpoints/step-00001234.safetensors");
  CHECK(run.samples(123'456'789) == "runs/a/samples/step-123456789.txt");
}

TEST_CASE("a new run makes its directory, and a trailing slash changes nothing") {
  const TemporaryDirectory directory;
  for (const char* name : {"runs/a", "runs/b/"}) {
    const RunDirectory run{directory / name, false};
    CHECK(fs::is_directory(run.root / "checkpoints"));
    CHECK_FALSE(run.newest_checkpoint());
    CHECK(run.locked());
  }
}

TEST_CASE("a second run never overwrites a first") {
  const TemporaryDirectory directory;
  const auto leave = GENERATE(0, 1, 2);
  const RunFiles first{directory / "run"};
  if (leave == 0) write(first.configuration(), "seed = 1\n");
  if (leave == 1) write(first.metrics(), "{\"step\":1}\n");
  if (leave == 2) save(first, 10);
  const auto before = content_of(directory.path());
  CHECK_THROWS_AS((RunDirectory{first.root, false}), burrow::ConfigError);
  CHECK_THROWS_WITH((RunDirectory{first.root, false}),
                    Catch::Matchers::Matches(first.root.string() + " .*--resume .*another --run.*"));
  CHECK(content_of(directory.path()) == before);
  CHECK_NOTHROW(RunDirectory{first.root, true});
}

TEST_CASE("resuming needs a run, and asking for it leaves no trace") {
  const TemporaryDirectory directory;
  CHECK_THROWS_AS((RunDirectory{directory / "typo", true}), burrow::ConfigError);
  CHECK_FALSE(fs::exists(directory / "typo"));
  { const RunDirectory run{directory / "unused", false}; }
  CHECK_THROWS_AS((RunDirectory{directory / "unused", true}), burrow::ConfigError);
  CHECK_NOTHROW(RunDirectory{directory / "unused", false});
}

TEST_CASE("a directory is used by one process at a time") {
  const TemporaryDirectory directory;
  {
    const RunDirectory first{directory / "run", false};
    first.write_text("configuration.toml", "");
    CHECK_THROWS_AS((RunDirectory{directory / "run", true}), burrow::IoError);
    const std::string lock = (directory / "run/lock").string(), process = std::to_string(::getpid());
    CHECK_THROWS_WITH((RunDirectory{directory / "run", true}),
                      Catch::Matchers::Matches(lock + " .*\\(process " + process + "\\).*"));
    CHECK_NOTHROW(RunDirectory{directory / "other", false});
  }
  CHECK_NOTHROW(RunDirectory{directory / "run", true});
}

TEST_CASE("checkpoints are found in order, and only whole ones count") {
  const TemporaryDirectory directory;
  const RunFiles run{directory / "run"};
  CHECK(run.checkpoints().empty());
  CHECK_FALSE(run.newest_checkpoint());
  for (const Index step : {900, 100'000'000, 1000, 20}) save(run, step);
  for (const char* name : {"step-1.safetensors", "step-00000abc.safetensors", "step-00000007.safetensors.bak",
                           ".step-00000008.safetensors.1-0.tmp", "notes.txt", "s"}) {
    write(run.root / "checkpoints" / name, "x");
  }
  CHECK(steps_of(run) == std::vector<Index>{20, 900, 1000, 100'000'000});
  CHECK(run.newest_checkpoint()->step == 100'000'000);
  CHECK(run.newest_checkpoint()->path == run.checkpoint(100'000'000));
  damage(run, 100'000'000);
  CHECK(run.newest_checkpoint()->step == 1000);
  CHECK(run.checkpoints()[3].damage.find(run.checkpoint(100'000'000).string()) == 0);
  CHECK(run.checkpoints()[2].damage.empty());
  for (const Index step : {20, 900, 1000}) damage(run, step);
  CHECK_FALSE(run.newest_checkpoint());
}

TEST_CASE("pruning keeps the newest whole checkpoints, and at least one") {
  const TemporaryDirectory directory;
  const RunFiles files{directory / "run"};
  for (Index step = 1; step <= 6; ++step) save(files, step);
  const RunDirectory run{files.root, true};
  run.prune(0);
  CHECK(steps_of(run).size() == 6);
  run.prune(10);
  CHECK(steps_of(run).size() == 6);
  damage(run, 6);
  damage(run, 4);
  run.prune(2);
  CHECK(steps_of(run) == std::vector<Index>{3, 4, 5, 6});
  run.prune(1);
  CHECK(steps_of(run) == std::vector<Index>{5, 6});
  CHECK(run.newest_checkpoint()->step == 5);
  damage(run, 5);
  run.prune(1);
  CHECK(steps_of(run) == std::vector<Index>{5, 6});
}

TEST_CASE("a checkpoint of parts counts when its manifest and all of its parts are whole") {
  const TemporaryDirectory directory;
  const RunFiles files{directory / "run"};
  save(files, 1);
  for (const Index step : {2, 3, 4, 5}) save_parts(files, step);
  CHECK(files.newest_checkpoint()->step == 5);
  fs::remove(part_path(files.checkpoint(5), 1));
  fs::resize_file(part_path(files.checkpoint(4), 0), 20);
  fs::copy_file(part_path(files.checkpoint(2), 1), part_path(files.checkpoint(3), 1),
                fs::copy_options::overwrite_existing);
  CHECK(files.newest_checkpoint()->step == 2);
  CHECK_THAT(files.checkpoints()[4].damage,
             Contains("step-00000005.parts/0001.safetensors: cannot be opened"));
  CHECK_THAT(files.checkpoints()[3].damage, Contains("step-00000004.parts/0000.safetensors"));
  CHECK_THAT(files.checkpoints()[2].damage,
             Contains("step-00000003.parts/0001.safetensors: is not part 1 of 2 of "));

  save_parts(files, 6);
  fs::remove(files.checkpoint(6));  // killed between the parts and the manifest
  const RunDirectory run{files.root, true};
  CHECK_FALSE(fs::exists(parts_folder(files.checkpoint(6))));
  CHECK(fs::exists(parts_folder(files.checkpoint(2))));
  save_parts(files, 7);
  run.prune(1);
  CHECK(steps_of(files) == std::vector<Index>{7});
  CHECK_FALSE(fs::exists(parts_folder(files.checkpoint(2))));
}

TEST_CASE("a directory is discarded only if it was made for a run that did not begin") {
  const TemporaryDirectory directory;
  {
    const RunDirectory run{directory / "made", false};
    for (const auto& path : {run.tokenizer(), run.training_tokens(), run.held_out_tokens()}) write(path, "x");
    run.discard();
    CHECK_FALSE(fs::exists(run.root));
    CHECK_THROWS_AS((RunDirectory{run.root / "lock/x", true}), burrow::ConfigError);
  }
  fs::create_directory(directory / "mine");
  write(directory / "mine/tokenizer.model", "mine");
  const RunDirectory kept{directory / "mine", false};
  kept.discard();
  CHECK(burrow::read_text(directory / "mine/tokenizer.model") == "mine");
  const RunDirectory begun{directory / "begun", false};
  write(begun.metrics(), "");
  begun.discard();
  CHECK(fs::exists(begun.metrics()));
}

TEST_CASE("texts are written whole, where they belong") {
  const TemporaryDirectory directory;
  const RunDirectory run{directory / "run", false};
  run.write_text("samples/step-00000250.txt", "It was");
  CHECK(burrow::read_text(run.samples(250)) == "It was");
  run.write_text("configuration.toml", "a = 1\n");
  run.write_text("configuration.toml", "a = 2\n");
  CHECK(burrow::read_text(run.configuration()) == "a = 2\n");
  CHECK_THROWS_AS(run.write_text("checkpoints", "x"), burrow::IoError);
  CHECK_THROWS_AS(run.write_text("configuration.toml/x", "x"), burrow::IoError);
}

TEST_CASE("what a killed process left half written is removed, other files are not") {
  const TemporaryDirectory directory;
  const RunFiles files{directory / "run"};
  save(files, 3);
  const std::vector<std::string> leftovers{"checkpoints/.step-00000004.safetensors.71-0.tmp",
                                           "configuration.toml.partial-71",
                                           ".tokenizer.model.71-1.tmp",
                                           "training.tokens.partial-71",
                                           "held_out.tokens.partial-7",
                                           "samples/step-00000004.txt.partial-71"};
  const std::vector<std::string> others{".vimrc.tmp", "notes.partial-1", "checkpoints/keep.safetensors"};
  for (const auto& names : {leftovers, others}) {
    for (const std::string& name : names) write(files.root / name, "x");
  }
  const RunDirectory run{files.root, true};
  for (const std::string& name : leftovers) CHECK_FALSE(fs::exists(files.root / name));
  for (const std::string& name : others) CHECK(fs::exists(files.root / name));
  CHECK(steps_of(run) == std::vector<Index>{3});
}

TEST_CASE("a directory that cannot be used is an error with its path") {
  const TemporaryDirectory directory;
  write(directory / "file", "x");
  CHECK_THROWS_WITH((RunDirectory{directory / "file", false}),
                    Catch::Matchers::StartsWith((directory / "file").string() + " is not a directory"));
  CHECK_THROWS_AS((RunDirectory{directory / "file/run", false}), burrow::IoError);
  write(directory / "odd/checkpoints", "x");
  CHECK_THROWS_AS((RunDirectory{directory / "odd", false}), burrow::IoError);
}

}  // namespace gopher::run_directory_test
