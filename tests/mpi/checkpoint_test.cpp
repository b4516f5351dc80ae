// Checkpoints across layouts: what any number of ranks has written, with any division of the optimizer's
// state, one rank and several read back bit for bit. Ranks may go on while they write.
#include "gopher_model/training/checkpoint.hpp"

#include <unistd.h>

#include <burrow/nn/layers.hpp>
#include <burrow/optim/adam.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <thread>

#include "tests/held_sync.hpp"
#include "tests/io/file_size_limit.hpp"
#include "tests/io/same_tensors.hpp"
#include "tests/mpi/world.hpp"
#include "tests/training/write_checkpoint.hpp"

using namespace burrow;
using mpi_test::world;

namespace {

using Model = Linear<7, 5, Bf16<Cpu>>;

/// A file of all ranks in a folder that rank 0 makes, and removes at the end.
class SharedFile {
 public:
  SharedFile() {
    std::string name = (std::filesystem::temp_directory_path() / "burrow-mpi-XXXXXX").string();
    if (world().rank() == 0 && ::mkdtemp(name.data()) == nullptr) throw IoError(name + " cannot be made");
    std::vector<std::int32_t> letters(name.begin(), name.end());
    world().broadcast(std::span{letters});
    folder_ = std::string(letters.begin(), letters.end());
  }
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;
  ~SharedFile() {
    world().barrier();
    std::error_code ignored;
    if (world().rank() == 0) std::filesystem::remove_all(folder_, ignored);
  }
  std::filesystem::path path() const { return folder_ / "step-00000003.safetensors"; }

 private:
  std::filesystem::path folder_;
};

template <class C>
auto optimizer_of(const Model& model, const C& ranks, int stage, Index bucket) {
  return Sharded{Adam{model, {.learning_rate = 1e-2, .bf16_update = Bf16Update::fp32_copy}},
                 ranks,
                 {.stage = stage, .bucket_elements = bucket}};
}

/// Steps with a gradient that is the same on all ranks together, whatever their number.
template <class Optimizer>
void train(Model& model, Optimizer& optimizer, int steps) {
  for (int step = 0; step < steps; ++step) {
    Gradient gradient{model};
    const auto values = gradient.values();
    if (optimizer.ranks().rank() == 0)
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = Key{5}.fold_in(static_cast<std::uint64_t>(step)).normal(i);
    optimizer.step(model, gradient);
  }
}

template <class A, class B>
void check_equal(std::span<A> a, std::span<B> b) {
  REQUIRE(a.size() == b.size());
  CHECK(std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

/// What a rank remembers, against the same parts of what one rank with the whole model remembers.
template <class Optimizer, class Whole>
void check_state(Optimizer& some, Whole& whole) {
  const auto all = whole.state();
  CHECK(some.state().steps == all.steps);
  for (const auto& part : some.state().values)
    for (const auto& reference : all.values)
      if (reference.name == part.name)
        check_equal(part.values,
                    reference.values.subspan(static_cast<std::size_t>(part.first), part.values.size()));
}

}  // namespace

TEST_CASE("what ranks have written together any ranks read, bit for bit", "[mpi]") {
  const SelfCommunicator alone;
  auto whole_model = build<Model>(Key{1});
  auto whole = optimizer_of(whole_model, alone, 0, 1000);
  train(whole_model, whole, 3);
  const std::map<std::string, std::string> metadata =
      gopher::checkpoint_metadata({1, 2, 1, 2, 4, 8, 4}, gopher::Precision::bf16_master, {.step = 3}, {});
  const std::string tokenizer = "tokens";

  for (const int stage : {0, 1, 2})
    for (const Index bucket : {Index{1000}, Index{9}}) {
      CAPTURE(stage, bucket);
      const SharedFile file;
      auto model = build<Model>(Key{1});
      auto optimizer = optimizer_of(model, world(), stage, bucket);
      train(model, optimizer, 3);
      gopher::write_checkpoint(file.path(), model, optimizer, tokenizer, metadata, world());
      world().barrier();
      CHECK(gopher::checkpoint_damage(file.path()).empty());

      auto alone_model = build<Model>(Key{2});
      auto single = optimizer_of(alone_model, alone, 0, 17);
      gopher::read_checkpoint(gopher::open_checkpoint(file.path()), alone_model, single);
      check_equal(parameters(alone_model).values(), parameters(whole_model).values());
      check_state(single, whole);

      auto other_model = build<Model>(Key{3});
      auto other = optimizer_of(other_model, world(), (stage + 1) % 3, 13);
      gopher::read_checkpoint(gopher::open_checkpoint(file.path()), other_model, other);
      check_equal(parameters(other_model).values(), parameters(whole_model).values());
      check_state(other, whole);
      world().barrier();
    }
}

TEST_CASE("several ranks read what one has written", "[mpi]") {
  const SelfCommunicator alone;
  auto whole_model = build<Model>(Key{1});
  auto whole = optimizer_of(whole_model, alone, 0, 1000);
  train(whole_model, whole, 3);
  const SharedFile file;
  if (world().rank() == 0)
    gopher::write_checkpoint(
        file.path(), whole_model, whole, "tokens",
        gopher::checkpoint_metadata({1, 2, 1, 2, 4, 8, 4}, gopher::Precision::bf16_master, {.step = 3}, {}),
        alone);
  world().barrier();
  auto model = build<Model>(Key{3});
  auto optimizer = optimizer_of(model, world(), 1, 13);
  gopher::read_checkpoint(gopher::open_checkpoint(file.path()), model, optimizer);
  check_equal(parameters(model).values(), parameters(whole_model).values());
  check_state(optimizer, whole);
}

namespace {

/// A checkpoint of a model that learns, from a copy.
struct Learner {
  Model model = build<Model>(Key{1});
  decltype(optimizer_of(model, world(), 1, 9)) optimizer = optimizer_of(model, world(), 1, 9);
  gopher::CheckpointCopy copy;
  std::string tokenizer = "tokens";

  Learner() { gopher::reserve(copy, model, optimizer); }
  gopher::CheckpointContent content(const std::filesystem::path& path) {
    return gopher::checkpoint_content(path, model, optimizer, tokenizer, {{"step", "3"}}, &copy);
  }
};

std::filesystem::path own_file(const SharedFile& file) {
  return world().size() == 1 ? file.path() : gopher::part_path(file.path(), world().rank());
}

}  // namespace

TEST_CASE("ranks go on while they write, and the checkpoint is there when all of them have written",
          "[mpi]") {
  Learner learner;
  train(learner.model, learner.optimizer, 3);
  const SharedFile file, waited;
  gopher::write_checkpoint(waited.path(), learner.model, learner.optimizer, learner.tokenizer,
                           {{"step", "3"}}, world());
  std::atomic<bool> free{false};
  const HeldSync disk{[&] { return free.load(); }};
  gopher::CheckpointWriter writer{world()};
  writer.start(learner.content(file.path()));
  for (int rank = 0; rank < world().size(); ++rank) {  // one after another is done
    train(learner.model, learner.optimizer, 1);
    const double left = world().all_reduce(writer.writing() ? 1.0 : 0.0);
    CHECK(left == world().size() - rank);
    writer.advance(left == 0);
    CHECK_FALSE(std::filesystem::exists(file.path()));
    world().barrier();
    if (world().rank() == rank) free = true;
    while (free && writer.writing()) std::this_thread::yield();
    world().barrier();
  }
  writer.advance(world().all_reduce(writer.writing() ? 1.0 : 0.0) == 0);
  CHECK(writer.busy() == (world().size() > 1 && world().rank() == 0));
  writer.finish();
  world().barrier();
  CHECK(gopher::checkpoint_damage(file.path()).empty());
  CHECK(same_tensors(own_file(file), own_file(waited)));
  world().barrier();
}

TEST_CASE("where one rank cannot write there is no new checkpoint", "[mpi]") {
  Learner learner;
  const SharedFile file;
  gopher::CheckpointWriter writer{world()};
  const bool fails = world().rank() == world().size() - 1;
  {
    const FileSizeLimit full{fails ? rlim_t{100} : RLIM_INFINITY};
    writer.start(learner.content(file.path()));
    const auto wait = [&] {
      while (writer.writing()) std::this_thread::yield();
    };
    if (fails)
      CHECK_THROWS_WITH(wait(),
                        Catch::Contains(own_file(file).string() + ": cannot be written: File too large"));
    else
      wait();
  }
  world().barrier();
  CHECK_FALSE(std::filesystem::exists(file.path()));
  world().barrier();
}
