// What `gopher generate` does once it has found its checkpoint, on any device.
#pragma once

#include <iostream>

#include "gopher_model/generation/decoder.hpp"
#include "gopher_model/generation/generate_options.hpp"
#include "gopher_model/training/checkpoint.hpp"

namespace gopher {

/// A checkpoint that was opened, and what it says of itself.
struct SavedModel {
  burrow::SlicedTensors tensors;
  CheckpointDescription description;

  /// The tokenizer that the model was trained with.
  Tokenizer tokenizer() const;
};

/// "128 tokens, 90.3 tokens/s after a prompt of 12 tokens in 31 ms"; where it was asked for also how fast
/// weights and cache, elements of `bytes` bytes, were read, on the CPU as a share of what its memory can do.
std::string speed_text(const Continuation& all, const ModelSize& size, const GenerateOptions& options,
                       std::string_view element, Index bytes);

/// Continues the prompt with the saved model, its weights in the policy's type, and says how fast. Returns
/// the process's exit code; throws IoError where standard output cannot be written.
template <class Policy>
int generate_with(const GenerateOptions& options, const SavedModel& saved) {
  using Model = RunTimeGopher<Policy>;
  using T = typename Policy::compute;
  const ModelSize& size = saved.description.size;
  Model model = build(Model::make(size), burrow::Key{});
  read_parameters(saved.tensors, model);
  const Tokenizer tokenizer = saved.tokenizer();
  const SamplingOptions sampling{options.temperature, options.top_k, options.top_p, options.greedy};
  Continuation all;
  for (Index i = 0; i < options.count; ++i) {
    if (i > 0) std::cout << "\n---\n";
    std::cout << options.prompt << std::flush;
    const burrow::Key key =
        burrow::Key{static_cast<std::uint64_t>(options.seed)}.fold_in(static_cast<std::uint64_t>(i));
    all += continue_text(model, tokenizer, options.prompt, options.tokens, sampling, key,
                         [](std::string_view text) { std::cout << text << std::flush; });
  }
  std::cout << '\n';
  if (!std::cout.flush()) throw burrow::IoError("standard output: the text could not be written");
  std::cerr << speed_text(all, size, options, dtype_name<T>(), sizeof(T)) << '\n';
  return 0;
}

/// The same on a device, with weights of the type that the checkpoint keeps: bf16, or else float.
template <class D>
int generate_on(const GenerateOptions& options, const SavedModel& saved) {
  const Precision precision = saved.description.precision;
  const bool bf16_weights = precision == Precision::bf16_stochastic || precision == Precision::bf16_master;
  return bf16_weights ? generate_with<Bf16<D>>(options, saved) : generate_with<Float32<D>>(options, saved);
}

/// The same on a GPU. Throws NoDeviceError where there is none, or the program was built without CUDA.
int generate_on_cuda(const GenerateOptions& options, const SavedModel& saved);

}  // namespace gopher
