#include "gopher_model/model/pass_memory.hpp"

#include <burrow/core/memory.hpp>
#include <burrow/ops/linear_cross_entropy/cpu.hpp>

namespace gopher {
namespace {

Index block(Index bytes) { return bytes > 0 ? burrow::detail::HostPool::bytes_of_block(bytes) : 0; }

constexpr Index float_bytes = 4, index_bytes = sizeof(Index);

bool narrow_parameters(Precision precision) {
  return precision == Precision::bf16_master || precision == Precision::bf16_stochastic;
}

}  // namespace

PassMemory::PassMemory(const ModelSize& part, Index sequences, Precision precision,
                       burrow::Rematerialization choice, const DividedLayers& divided)
    : size_{part},
      sequences_{sequences},
      element_{activation_element_bytes(precision)},
      precision_{precision},
      choice_{choice},
      divided_{divided},
      again_{choice.recomputes_values()} {
  const bool rows_divided = divided.row_parts > 1;
  const Index inner = part.attention_width();
  x_ = block(rows() / divided.row_parts * part.width * element_);
  moments_ = block(rows() / divided.row_parts * float_bytes);
  whole_ = block(rows() * part.width * element_);
  gathered_ = rows_divided ? whole_ : 0;
  heads_ = block(rows() * inner * element_);
  positions_ = block(part.context * inner * element_);
  log_sums_ = block(rows() * part.heads * float_bytes);
  inner_ = block(rows() * part.feed_forward * element_);
  offsets_ = precision == Precision::mixed_bf16 ? block(inner * element_) : 0;
  vector_sum_ = rows_divided ? block(part.width * float_bytes) : 0;
  vector_ = narrow_parameters(precision) ? gradient(part.width) : vector_sum_;
  row_ = divided.parallel ? 0 : block(part.width * element_);
  inner_row_ = block(part.feed_forward * element_);
  encodings_ = block(part.context * part.width * element_);
}

// That of a parameter before it is added to the flat one; in place where both are float32.
Index PassMemory::gradient(Index parameters) const {
  return narrow_parameters(precision_) ? block(parameters * element_) : 0;
}

MemoryCourse PassMemory::embed() const {
  if (!divided_.parallel) return {x_};
  const Index own_ids = block(rows() * Index{sizeof(std::int32_t)}), here = block(rows() * element_);
  return {own_ids, here, whole_, whole_, x_, -whole_};
}

MemoryCourse PassMemory::embed_backward() const {
  const Index order = block(rows() * index_bytes), starts = block((size_.vocabulary + 1) * index_bytes);
  const MemoryCourse table{order, starts, -starts, -order};
  if (!divided_.parallel) return table + MemoryCourse{-x_};
  const Index own_ids = block(rows() * Index{sizeof(std::int32_t)}), here = block(rows() * element_);
  const MemoryCourse gathered = gathered_ > 0 ? MemoryCourse{gathered_, -x_} : MemoryCourse{};
  return gathered + MemoryCourse{whole_, -whole_, -here, -whole_} + table + MemoryCourse{-whole_, -own_ids};
}

MemoryCourse PassMemory::recorded_block() const {
  const Index norm = again_ || gathered_ > 0 ? -x_ : 0, gelu = again_ ? -inner_ : 0;
  const Index used = divided_.gathers_again ? -gathered_ : 0;
  const MemoryCourse heads{x_,     moments_, gathered_, positions_, heads_,   heads_,
                           heads_, offsets_, offsets_,  heads_,     log_sums_};
  const MemoryCourse inner{gathered_, inner_, inner_row_, -inner_row_, used, inner_};
  if (divided_.parallel)
    return heads + MemoryCourse{whole_, x_, -whole_, used, x_, moments_, x_, norm} + inner +
           MemoryCourse{whole_, gelu, x_, -whole_, norm, x_};
  return heads + MemoryCourse{x_, row_, -row_, x_, moments_, x_, -x_, norm} + inner +
         MemoryCourse{x_, row_, -row_, gelu, norm, x_, -x_};
}

MemoryCourse PassMemory::unrecorded_block() const {
  const MemoryCourse heads{x_,        moments_, -moments_, gathered_, positions_, heads_,     heads_,
                           heads_,    offsets_, offsets_,  heads_,    log_sums_,  -log_sums_, -offsets_,
                           -offsets_, -heads_,  -heads_,   -heads_,   -positions_};
  const MemoryCourse sum_and_norm{x_, moments_, x_, -moments_, -x_, -x_};
  const MemoryCourse inner{gathered_, inner_, inner_row_, -inner_row_, -gathered_, inner_};
  if (divided_.parallel)
    return heads + MemoryCourse{whole_, x_, -whole_, -heads_, -gathered_} + sum_and_norm + inner +
           MemoryCourse{whole_, -inner_, x_, -whole_, -inner_, -x_, x_, -x_, -x_};
  return heads + MemoryCourse{x_, row_, -row_, -heads_} + sum_and_norm + inner +
         MemoryCourse{x_, row_, -row_, -inner_, -inner_, -x_, x_, -x_, -x_};
}

// Of a sum with what a product has left: the gradients of both, and of the bias.
MemoryCourse PassMemory::sum_backward() const {
  if (!divided_.parallel) return {};
  const MemoryCourse gathered = gathered_ > 0 ? MemoryCourse{gathered_, -x_} : MemoryCourse{};
  return MemoryCourse{x_, x_, vector_, -x_, -x_, vector_sum_, -vector_sum_, -vector_} + gathered;
}

// Of a norm and the products that read it.
MemoryCourse PassMemory::norm_backward(const MemoryCourse& products) const {
  const Index norm = again_ && (gathered_ == 0 || divided_.gathers_again) ? x_ : 0;
  const Index moments = norm > 0 ? moments_ : 0, kept_norm = gathered_ > 0 ? norm : x_;
  const Index gathered = divided_.gathers_again ? gathered_ : 0;
  MemoryCourse entered;
  if (gathered_ > 0)
    entered = {-gathered_, x_, -gathered_};
  else if (divided_.parallel)
    entered = {x_, -x_};
  return MemoryCourse{whole_, norm, moments, -moments, gathered} + products + entered +
         MemoryCourse{-kept_norm, vector_, -x_, -moments_, -x_, vector_sum_, -vector_sum_, -vector_};
}

MemoryCourse PassMemory::attention_backward() const {
  const Index g = block(size_.attention_width() * element_), kept = element_ == float_bytes ? 0 : g;
  const Index inner = size_.attention_width(), output = gradient(inner * size_.width);
  const Index bias = divided_.parallel ? 0 : gradient(size_.width), dy = divided_.parallel ? whole_ : 0;
  return {heads_,     output,      bias,    -bias,    -dy,      -output, heads_,     heads_,  heads_,
          positions_, g,           g,       kept - g, kept - g, -heads_, -log_sums_, -heads_, -offsets_,
          -offsets_,  -positions_, -heads_, -heads_,  -heads_,  -kept,   -kept};
}

MemoryCourse PassMemory::block_backward() const {
  const Index matrix = gradient(size_.width * size_.feed_forward), column = gradient(size_.feed_forward);
  const Index bias = divided_.parallel ? 0 : gradient(size_.width), dy = divided_.parallel ? whole_ : 0;
  const MemoryCourse down =
      again_
          ? MemoryCourse{inner_, inner_, matrix, bias, -dy, -bias, -inner_, inner_, -inner_, -inner_, -matrix}
          : MemoryCourse{inner_, matrix, bias, -dy, -inner_, -bias, inner_, -inner_, -inner_, -matrix};
  const Index projection = gradient(size_.width * size_.attention_width());
  const MemoryCourse up{matrix, column, -inner_, -column, -matrix};
  const MemoryCourse head{projection, -heads_, -projection}, position{projection, -positions_, -projection};
  return sum_backward() + down + norm_backward(up) + sum_backward() + attention_backward() +
         norm_backward(3 * head + position);
}

MemoryCourse PassMemory::forward(Index blocks) const {
  const Index group = choice_.blocks();
  if (group == 0) return blocks * recorded_block();
  const auto one = [&](Index count) {
    return unrecorded_block() + (count - 1) * (unrecorded_block() + MemoryCourse{-x_});
  };
  const Index whole = blocks / group, rest = blocks % group;
  return whole * one(group) + (rest > 0 ? one(rest) : MemoryCourse{});
}

MemoryCourse PassMemory::backward(Index blocks) const {
  const Index group = choice_.blocks();
  if (group == 0) return blocks * block_backward();
  // A copy of the gradient that enters; at the end one of that which leaves, and the input is given back.
  const auto one = [&](Index count) {
    return count * recorded_block() + MemoryCourse{x_} + count * block_backward() +
           MemoryCourse{x_, -x_, -x_, -x_};
  };
  const Index whole = blocks / group, rest = blocks % group;
  return (rest > 0 ? one(rest) : MemoryCourse{}) + whole * one(group);
}

MemoryCourse PassMemory::loss() const {
  const Index words = size_.vocabulary, most = divided_.parallel ? divided_.most_words : words;
  const burrow::detail::LogitsBlock at_once{rows(), most, float_bytes, true};
  const Index number = block(float_bytes), targets = block(rows() * index_bytes);
  const Index bias = narrow_parameters(precision_) ? block(words * float_bytes) : 0;
  const Index likelihoods = block(rows() * float_bytes);
  const Index logits = block(at_once.rows * at_once.stride * float_bytes);
  const Index known = block(at_once.rows * Index{sizeof(burrow::detail::PartialLogSumExp<float>)});
  const Index scales = divided_.parallel ? block(at_once.rows * float_bytes) : 0;
  return {x_,
          moments_,
          gathered_,
          number,
          targets,
          bias,
          block(words * float_bytes),
          block(rows() * size_.width * float_bytes),
          block(words * size_.width * float_bytes),
          likelihoods,
          logits,
          known,
          scales,
          -scales,
          -known,
          -logits,
          -likelihoods,
          -bias,
          -targets,
          -gathered_,
          -x_,
          number};
}

Index PassMemory::loss_value() const { return block(float_bytes); }

MemoryCourse PassMemory::loss_backward() const {
  const Index words = size_.vocabulary, number = block(float_bytes);
  MemoryCourse entered;
  if (gathered_ > 0)
    entered = {x_, -gathered_};
  else if (divided_.parallel)
    entered = {x_, -x_};
  return MemoryCourse{number,
                      -number,
                      whole_,
                      -number,
                      -block(words * float_bytes),
                      -block(words * size_.width * float_bytes),
                      -block(rows() * size_.width * float_bytes)} +
         entered + MemoryCourse{x_, vector_, -x_, -moments_, -x_, vector_sum_, -vector_sum_, -vector_};
}

Index pass_bytes(const ModelSize& size, Index sequences, Precision precision,
                 burrow::Rematerialization choice) {
  const PassMemory passes{size, sequences, precision, choice};
  return (passes.embed() + passes.forward(size.layers) + passes.loss() + passes.loss_backward() +
          passes.backward(size.layers) + passes.embed_backward())
      .most;
}

}  // namespace gopher
