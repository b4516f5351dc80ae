// gopher generate from a checkpoint: weights are read in the type they are kept in.
#include "gopher_model/generation/generate.hpp"

#include <burrow/distributed/sharded.hpp>
#include <burrow/optim/adam.hpp>
#include <catch2/catch.hpp>
#include <iostream>
#include <sstream>

#include "gopher_model/generation/decoder.hpp"
#include "tests/io/temporary_directory.hpp"
#include "tests/training/write_checkpoint.hpp"

namespace gopher::generate_test {
namespace {

using Catch::Matchers::Contains;

/// What a stream is given while this lives.
class Captured {
 public:
  explicit Captured(std::ostream& stream) : stream_{stream}, before_{stream.rdbuf(text_.rdbuf())} {}
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  ~Captured() { stream_.rdbuf(before_); }
  std::string text() const { return text_.str(); }

 private:
  std::ostream& stream_;
  std::ostringstream text_;
  std::streambuf* before_;
};

/// The text and the report of a checkpoint of the policy's model are those of the model itself.
template <class Policy>
void check_text(Precision precision, const std::string& element) {
  const TemporaryDirectory place;
  const Tokenizer tokenizer =
      Tokenizer::train("a gopher digs a burrow. the burrow is long. ", {.vocabulary = 320});
  const ModelSize size{2, 12, 2, 6, 24, tokenizer.vocabulary(), 32};
  const auto model = build(RunTimeGopher<Policy>::make(size), Key{1});
  const std::string path = place / "model";
  const burrow::SelfCommunicator alone;
  burrow::Sharded optimizer{burrow::Adam{model, {}}, alone};
  write_checkpoint(path, model, optimizer, tokenizer.serialized(),
                   checkpoint_metadata(size, precision, {}, {}), alone);
  std::string expected = "a burrow";
  continue_text(model, tokenizer, expected, 16, {}, Key{5}.fold_in(0),
                [&](std::string_view piece) { expected += piece; });
  const Captured out{std::cout}, log{std::cerr};
  GenerateOptions options;
  options.checkpoint = path;
  options.prompt = "a burrow";
  options.tokens = 16;
  options.seed = 5;
  options.report = true;
  CHECK(generate(options) == 0);
  CHECK(out.text() == expected + "\n");
  CHECK_THAT(log.text(), Contains("; " + element + " weights and cache read at ") && Contains("% of this"));
}

TEST_CASE("a checkpoint continues a text as its model does, with weights of the type that it holds") {
  check_text<Float32<Cpu>>(Precision::float32, "float");
  check_text<Float32<Cpu>>(Precision::mixed_bf16, "float");
  check_text<Bf16<Cpu>>(Precision::bf16_stochastic, "bf16");
  check_text<Bf16<Cpu>>(Precision::bf16_master, "bf16");
}

}  // namespace
}  // namespace gopher::generate_test
