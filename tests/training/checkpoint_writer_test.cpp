// Checkpoints that are written beside training: what is written is what was there when it began, nothing
// waits for the disk, and what goes wrong is told. Several ranks are in tests/mpi/checkpoint_test.cpp.
#include "gopher_model/training/checkpoint_writer.hpp"

#include <thread>

#include <burrow/nn/layers.hpp>
#include <burrow/optim/adam.hpp>
#include <catch2/catch.hpp>

#include "tests/held_sync.hpp"
#include "tests/io/file_size_limit.hpp"
#include "tests/training/tiny_run.hpp"
#include "tests/training/write_checkpoint.hpp"

namespace gopher::checkpoint_writer_test {
namespace {

using namespace burrow;
using Catch::Contains;
using Small = Linear<30, 20, Bf16<Cpu>>;

const SelfCommunicator alone;

auto adam_for(const Small& model) {
  return Sharded{Adam{model, {.bf16_update = Bf16Update::fp32_copy}}, alone};
}

/// A small model that learns.
struct Learner {
  Small model = build<Small>(Key{1});
  decltype(adam_for(model)) optimizer = adam_for(model);
  Gradient<Small> gradient{model};

  void step() {
    for (std::size_t i = 0; i < gradient.values().size(); ++i)
      gradient.values()[i] = Key{2}.normal(i + static_cast<std::size_t>(optimizer.state().steps));
    optimizer.step(model, gradient);
  }
  CheckpointContent content(const std::string& path, const std::string& tokenizer, CheckpointCopy* copy) {
    return checkpoint_content(path, model, optimizer, tokenizer, {{"step", "1"}}, copy);
  }
};

const std::string tokenizer = "tokens";

TEST_CASE("what is written is what was there when the writing began, while steps go on") {
  const Workplace place;
  Learner learner;
  CheckpointCopy copy;
  reserve(copy, learner.model, learner.optimizer);
  const auto count = static_cast<Index>(parameters(learner.model).values().size());
  CHECK(copy.bytes() == (2 + 4 + 8) * count);
  std::atomic<bool> free{false}, committed{false};
  const HeldSync held{[&] { return free.load(); }};
  CheckpointWriter writer{alone, [&] { committed = std::filesystem::exists(place / "beside"); }};
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    learner.step();
    const std::string waited = place / ("waited" + std::to_string(round));
    free = true;
    write_checkpoint(waited, learner.model, learner.optimizer, tokenizer, {}, alone);
    free = committed = false;
    const int before = held.calls();
    const auto memory = memory_statistics<Cpu>();
    writer.start(learner.content(place / "beside", tokenizer, &copy));
    CHECK(memory_statistics<Cpu>().bytes_in_use == memory.bytes_in_use);
    while (held.calls() == before) std::this_thread::yield();
    CHECK(writer.writing());
    for (int i = 0; i < 3; ++i) learner.step();
    CHECK(writer.writing());
    CHECK_FALSE(committed);
    CHECK_THROWS_WITH(writer.start({}), Contains("the checkpoint before is not finished"));
    if (round > 0) CHECK(checkpoint_damage(place / "beside").empty());  // the one before
    free = true;
    while (writer.writing()) std::this_thread::yield();
    writer.advance(true);
    CHECK_FALSE(writer.busy());
    CHECK(committed);
    CHECK(same_tensors(place / "beside", waited));
  }
  CHECK_FALSE(held.in_vain());
}

TEST_CASE("to finish is to wait until the checkpoint is there") {
  const Workplace place;
  Learner learner;
  int committed = 0;
  CheckpointWriter writer{alone, [&] { ++committed; }};
  writer.finish();
  writer.start(learner.content(place / "c", tokenizer, nullptr));
  writer.finish();
  CHECK(checkpoint_damage(place / "c").empty());
  CHECK(committed == 1);
  CHECK_FALSE(writer.busy());
  {
    CheckpointWriter dropped{alone};
    dropped.start(learner.content(place / "d", tokenizer, nullptr));
  }
  CHECK(checkpoint_damage(place / "d").empty());  // whoever drops it waits, too
}

TEST_CASE("what goes wrong in the writing thread is thrown by every call after it") {
  const Workplace place;
  Learner learner;
  CheckpointWriter writer{alone};
  writer.start(learner.content(place / "c", tokenizer, nullptr));
  writer.finish();
  write_checkpoint(place / "before", learner.model, learner.optimizer, tokenizer, {}, alone);
  learner.step();
  const FileSizeLimit full{1000};
  writer.start(learner.content(place / "c", tokenizer, nullptr));
  const std::string why = place / "c" + ": cannot be written: File too large";
  const auto until_it_fails = [&] {
    while (writer.writing()) std::this_thread::yield();
  };
  CHECK_THROWS_WITH(until_it_fails(), Contains(why));
  CHECK_THROWS_WITH(until_it_fails(), Contains(why));
  CHECK_THROWS_WITH(writer.finish(), Contains(why));
  CHECK(same_tensors(place / "c", place / "before"));
  std::filesystem::remove(place / "c");
  std::filesystem::remove(place / "before");
  for (const auto& left :
       std::filesystem::directory_iterator(std::filesystem::path(place / "c").parent_path()))
    CHECK(left.path().filename() == "text.txt");
}

TEST_CASE("a copy takes arrays of the sizes that were reserved") {
  CheckpointCopy copy;
  copy.reserve(12);
  copy.reserve(0);
  const std::vector<float> values{1, 2, 3}, more{4};
  const auto& memory = burrow::detail::device_memory<Cpu>;
  for (int round = 0; round < 2; ++round) {
    copy.clear();
    const auto copied = copy.copy<float>(memory, values);
    CHECK(std::equal(copied.begin(), copied.end(), values.begin(), values.end()));
    CHECK(copied.data() != values.data());
    CHECK(copy.copy<float>(memory, {}).empty());
    CHECK_THROWS_WITH(copy.copy<float>(memory, more), Contains("nothing was reserved"));
  }
  copy.clear();
  CHECK_THROWS_WITH(copy.copy<float>(memory, more), Contains("array 0 has 4 bytes"));
}

}  // namespace
}  // namespace gopher::checkpoint_writer_test
