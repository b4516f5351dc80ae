// What a Gopher model is made of: its extents and the precision it is trained in.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include <burrow/core/error.hpp>
#include <burrow/core/shape.hpp>

namespace gopher {

using burrow::ConfigError;
using burrow::Index;

/// The extents of one model. A structural type: usable as a template argument.
struct ModelSize {
  Index layers = 0;
  Index width = 0;         ///< of the residual stream (d_model)
  Index heads = 0;         ///< attention heads
  Index head_width = 0;    ///< of the query, key and value of one head
  Index feed_forward = 0;  ///< hidden width of the feed-forward layers
  Index vocabulary = 0;    ///< tokens the embedding knows
  Index context = 0;       ///< tokens of one training sequence

  /// Width of all heads together (A in the formulas of accounting.hpp); need not equal `width`.
  constexpr Index attention_width() const { return heads * head_width; }

  friend constexpr bool operator==(const ModelSize&, const ModelSize&) = default;
};

/// One extent of a model by name, with the largest value this project accepts.
struct ModelExtent {
  std::string_view name;
  Index ModelSize::*member;
  Index limit;
};

/// Every extent of ModelSize in order. The limits keep all counts of accounting.hpp within 64 bits.
inline constexpr std::array<ModelExtent, 7> model_extents{{
    {"layers", &ModelSize::layers, 4096},
    {"width", &ModelSize::width, Index{1} << 18},
    {"heads", &ModelSize::heads, 4096},
    {"head_width", &ModelSize::head_width, 2048},
    {"feed_forward", &ModelSize::feed_forward, Index{1} << 22},
    {"vocabulary", &ModelSize::vocabulary, Index{1} << 24},
    {"context", &ModelSize::context, Index{1} << 24},
}};

/// Throws ConfigError unless `size` can be built: every extent from 1 to its limit, and an even width, since
/// the relative positions are pairs of a sine and a cosine.
constexpr void validate(const ModelSize& size) {
  for (const ModelExtent& extent : model_extents) {
    const Index value = size.*extent.member;
    if (value < 1 || value > extent.limit) {
      throw ConfigError(std::string(extent.name) + " must be from 1 to " + std::to_string(extent.limit) +
                        ", not " + std::to_string(value) + ".");
    }
  }
  if (size.width % 2 != 0) {
    throw ConfigError("width must be even, since relative positions are pairs of a sine and a cosine, not " +
                      std::to_string(size.width) + ".");
  }
}

/// How parameters are stored and in what type the model computes. Softmax and loss are always float32.
enum class Precision {
  float32,          ///< float32 parameters and activations
  mixed_bf16,       ///< float32 parameters, bf16 activations
  bf16_stochastic,  ///< bf16 parameters updated with stochastic rounding, bf16 activations
  bf16_master,      ///< bf16 parameters with a float32 copy in the optimizer's state, bf16 activations
};

/// The names of Precision's values, in their order, as files and command lines write them.
inline constexpr std::array<std::string_view, 4> precision_names{"float32", "mixed-bf16", "bf16-stochastic",
                                                                 "bf16-master"};

/// The name of a precision, for example "mixed-bf16".
constexpr std::string_view name_of(Precision precision) {
  return precision_names[static_cast<std::size_t>(precision)];
}

}  // namespace gopher
