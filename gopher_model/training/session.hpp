// One training run of a model in one precision and layout: the loop over steps, evaluation, samples and
// checkpoints. All ranks run it together; rank 0 alone tells and records what happens.
#pragma once

#include <chrono>
#include <cmath>
#include <iostream>
#include <variant>

#include <burrow/optim/schedule.hpp>
#include <burrow/optim/sgd.hpp>

#include "gopher_model/model/accounting.hpp"
#include "gopher_model/training/batch_schedule.hpp"
#include "gopher_model/training/device_passes.hpp"
#include "gopher_model/training/device_ranks.hpp"
#include "gopher_model/training/held_out.hpp"
#include "gopher_model/training/machine.hpp"
#include "gopher_model/training/metrics.hpp"
#include "gopher_model/training/run_checkpoints.hpp"
#include "gopher_model/training/run_costs.hpp"
#include "gopher_model/training/samples.hpp"
#include "gopher_model/training/session_parts.hpp"
#include "gopher_model/training/step_profile.hpp"
#include "gopher_model/training/training_layout.hpp"

namespace gopher {

/// Trains from the start or from the run's newest checkpoint. Instantiated once for each policy and layout,
/// in session_*.cpp and divided_*.cpp.
template <TrainingLayout Layout>
class Session {
  using Policy = typename Layout::policy;
  using D = typename Policy::device;
  using Model = typename Layout::model_type;
  template <template <class> class Whole>
  using Divided = burrow::Sharded<Whole<Model>, typename DeviceRanks<D>::communicator>;
  using Optimizer = std::variant<Divided<Adam>, Divided<Sgd>>;

 public:
  explicit Session(const SessionParts& parts)
      : parts_{parts},
        configuration_{parts.configuration},
        schedule_{batch_schedule(configuration_)},
        layout_{parts.configuration, parts.ranks},
        model_{layout_.make(sharding())},
        optimizer_{make_optimizer()},
        checkpoints_{parts_} {
    burrow::reset_peak_memory<Cpu>();
    if (configuration_.profile && leads())
      profile_.emplace(*parts.directory, configuration_.profile_steps, parts.peaks, parts.progress);
    if (configuration_.time_limit == 0) state_.total_steps = schedule_.steps;
    if (parts.resume) restore(*parts.resume);
    std::visit([&](auto& o) { checkpoints_.take_memory(model_, o); }, optimizer_);
    settle_warmup();
    feed_.emplace(parts.corpus.training, batch_plan());
    if (leads())
      metrics_.emplace(parts.files.metrics(),
                       configuration_.resume ? std::optional{state_.step} : std::nullopt);
  }

  /// Runs to the end, or to a signal. Returns the process's exit code.
  int run() {
    start_ = std::chrono::steady_clock::now();
    elapsed_before_ = state_.elapsed;
    agree();
    while (!finished() && !stopping_) {
      if (profile_) profile_->step_begins();
      const Traffic before = sent();
      const StepReport report = step();
      if (profile_) profile_->step_ends();
      const burrow::Region between{"report"};
      if (leads()) tell(report);
      agree();
      costs_.sent += sent() - before;
      ++costs_.steps;
      const bool last = finished() || stopping_;
      if (is_due(configuration_.evaluate_every) && !last) evaluate(configuration_.evaluate_tokens);
      if (is_due(configuration_.checkpoint_every) && !last) begin_checkpoint();
    }
    profile_.reset();
    record_costs();
    finished() ? finish() : interrupt();
    return 0;
  }

 private:
  const World& world() const { return parts_.ranks.world(); }
  const World& data_ranks() const { return parts_.ranks.data(); }
  bool leads() const { return world().rank() == 0; }
  Traffic sent() const {
    Traffic all = layout_.sent();
    if constexpr (!burrow::detail::on_host<D>)
      all += std::visit([](const auto& o) { return o.ranks().traffic(); }, optimizer_);
    return all;
  }

  void tell(const StepReport& report) {
    const bool due = state_.step % configuration_.log_every == 0 || state_.step == 1 || finished();
    if (!due) return parts_.progress.update(report);
    parts_.progress.log(report);
    metrics_->step(report);
  }

  /// Whether any rank was told to stop, what rank 0's clock says, and how many ranks still write their part
  /// of a checkpoint become the same on all ranks.
  void agree() {
    std::array<double, 3> all{parts_.stop.requested() ? 1.0 : 0.0, leads() ? elapsed() : 0.0,
                              checkpoints_.unwritten()};
    world().all_reduce(std::span<double>{all});
    stopping_ = all[0] > 0;
    time_ = all[1];
    checkpoints_.go_on(all[2]);
  }

  /// Nothing where there is nobody to share it with.
  burrow::ShardingOptions sharding() const {
    return {.stage = data_ranks().size() == 1 ? 0 : static_cast<int>(configuration_.zero)};
  }

  Optimizer make_optimizer() const {
    const auto& c = configuration_;
    const Bf16Update update =
        c.precision == Precision::bf16_stochastic ? Bf16Update::stochastic : Bf16Update::fp32_copy;
    const burrow::Key key = key_for(c.seed, Purpose::rounding);
    burrow::ShardingOptions sharding = this->sharding();
    if (data_ranks().size() == 1) sharding.bucket_elements = parameters(model_).store().size;
    if (c.optimizer == OptimizerKind::sgd)
      return Divided<Sgd>{Sgd<Model>{model_, SgdOptions{.momentum = c.beta1,
                                                        .weight_decay = c.weight_decay,
                                                        .bf16_update = update,
                                                        .key = key}},
                          DeviceRanks<D>::of(parts_.ranks), sharding};
    const double decay = c.optimizer == OptimizerKind::adamw ? c.weight_decay : 0.0;
    return Divided<Adam>{Adam<Model>{model_, AdamOptions{.beta1 = c.beta1,
                                                         .beta2 = c.beta2,
                                                         .epsilon = c.epsilon,
                                                         .weight_decay = decay,
                                                         .bf16_update = update,
                                                         .key = key}},
                         DeviceRanks<D>::of(parts_.ranks), sharding};
  }

  void restore(const ResumePoint& point) {
    std::visit([&](auto& o) { read_checkpoint(open_checkpoint(point.path), model_, o); }, optimizer_);
    checkpoints_.resumed_after(point.saved.state.step);
    const Index asked = state_.total_steps;
    state_ = point.saved.state;
    if (asked > 0) state_.total_steps = asked;
    parts_.progress.message("resumed after step " + std::to_string(state_.step));
  }

  /// Says where the run's length shortens the warm-up, and saves the configuration as it now is.
  void settle_warmup() {
    if (const auto sentence = shorten_warmup(configuration_, state_.total_steps); !sentence.empty())
      parts_.progress.message(sentence);
    if (leads()) save_configuration(*parts_.directory, configuration_);
  }

  bool finished() const {
    return (state_.total_steps > 0 && state_.step >= state_.total_steps) ||
           (schedule_.steps > 0 && state_.step >= schedule_.steps) ||
           (configuration_.time_limit > 0 &&
            time_ > 1.2 * 60 * configuration_.time_limit);  // the machine became slower
  }
  bool is_due(Index every) const { return every > 0 && state_.step % every == 0; }
  double elapsed() const {
    return elapsed_before_ + std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  /// Linear warm-up, then a cosine to the end. Until a time-limited run knows its end, only the warm-up.
  double learning_rate() const {
    const auto& c = configuration_;
    if (state_.total_steps == 0)
      return LinearSchedule{c.initial_learning_rate, c.learning_rate, c.warmup_steps}(state_.step);
    return warmup_cosine({.peak = c.learning_rate,
                          .total_steps = state_.total_steps,
                          .initial = c.initial_learning_rate,
                          .warmup_steps = c.warmup_steps,
                          .final_fraction = c.final_learning_rate_fraction})(state_.step);
  }

  static Index sequences_of(const BatchSchedule& schedule, Index step, Index context) {
    return std::max<Index>(1, schedule.batch_tokens(step) / context);
  }

  /// The samples of this rank, one micro-batch after another, from where the run stands. Each rank has as
  /// many neighbouring samples of a step as the others.
  auto batch_plan() const {
    return [schedule = schedule_, context = configuration_.size.context, most = configuration_.micro_batch,
            ranks = data_ranks().size(), rank = data_ranks().rank(), step = state_.step,
            sample = state_.sample, done = Index{0}]() mutable {
      const Index sequences = sequences_of(schedule, step, context), own = sequences / ranks;
      const SampleRange range{static_cast<std::uint64_t>(sample + rank * own + done),
                              std::min(most, own - done)};
      if ((done += range.count) == own) {
        done = 0;
        sample += sequences;
        ++step;
      }
      return range;
    };
  }

  /// The next micro-batch, which is to begin at that sample.
  Batch next_batch(Index sample) {
    const burrow::Region data{"data"};
    Batch batch = feed_->next();
    if (batch.first != static_cast<std::uint64_t>(sample))
      throw burrow::Error("the data went on at sample " + std::to_string(batch.first) +
                          ", but the run was at sample " + std::to_string(sample));
    return batch;
  }

  /// This rank's terms of the mean loss over the step's tokens; the optimizer keeps their gradient. A device
  /// that captures passes does so where a rank is alone and nobody looks at operations.
  double accumulate(Index sequences) {
    const float share = 1.0f / static_cast<float>(sequences * configuration_.size.context);
    const Index own = sequences / data_ranks().size(), most = configuration_.micro_batch;
    const Index count = (own + most - 1) / most;
    Index sample = state_.sample + data_ranks().rank() * own;
    const auto next = [&] {
      Batch batch = next_batch(sample);
      sample += batch.inputs.shape()[0];
      return batch;
    };
    const auto add = [&](auto& o) {
      if constexpr (DevicePasses<Policy>::exist)
        if (data_ranks().size() == 1 && !configuration_.profile)
          return passes_.accumulate(model_, o, count, next, share);
      return layout_.accumulate(model_, o, count, next, share);
    };
    return std::visit(add, optimizer_);
  }

  /// The same, and what it had of memory at once is kept for the record.
  double accumulate_measured(Index sequences) {
    note_peak();
    const Index before = burrow::memory_statistics<D>().value_bytes_in_use;
    const double loss = accumulate(sequences);
    costs_.passes = burrow::memory_statistics<D>().peak_value_bytes - before;
    return loss;
  }
  void note_peak() {
    costs_.largest_peak = std::max(costs_.largest_peak, burrow::memory_statistics<Cpu>().peak_bytes_in_use);
    burrow::reset_peak_memory<Cpu>();
    if constexpr (!std::same_as<D, Cpu>) burrow::reset_peak_memory<D>();
  }

  auto reduced_gradient() {
    const burrow::Region region{"update"};
    const burrow::Region exchange{"gradient exchange"};
    return std::visit([](auto& o) { return o.reduce(); }, optimizer_);
  }

  template <class Reduced>
  double gradient_norm(const Reduced& gradient) const {
    const burrow::Region region{"update"};
    const burrow::Region norm{"gradient norm"};
    double bytes = 0;
    for (const auto part : gradient.parts) bytes += static_cast<double>(part.size_bytes());
    norm.takes({0, bytes});
    return std::visit([&](const auto& o) { return o.norm(gradient); }, optimizer_);
  }

  template <class Reduced>
  void update(const Reduced& gradient, double rate, double factor) {
    const burrow::Region region{"update"};
    const burrow::Region optimizer{configuration_.optimizer == OptimizerKind::sgd ? "sgd" : "adam"};
    optimizer.takes({0, update_bytes(configuration_)});
    std::visit([&](auto& o) { o.step(model_, gradient, {.learning_rate = rate, .gradient_factor = factor}); },
               optimizer_);
  }

  StepReport step() {
    const auto before = std::chrono::steady_clock::now();
    const double waited = feed_->waited();
    const Index sequences = sequences_of(schedule_, state_.step, configuration_.size.context);
    const Index tokens = sequences * configuration_.size.context;
    const double rate = learning_rate();
    const double loss = data_ranks().all_reduce(accumulate_measured(sequences));
    const auto gradient = reduced_gradient();
    const double norm = gradient_norm(gradient);
    if (std::isfinite(norm) && std::isfinite(loss)) {
      const double factor = configuration_.clip > 0 ? burrow::clip_factor(norm, configuration_.clip) : 1.0;
      update(gradient, rate, factor);
      skipped_in_a_row_ = 0;
    } else {
      skip();
    }
    ++state_.step;
    state_.tokens += tokens;
    state_.sample += sequences;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
    recent_seconds_ = recent_seconds_ == 0 ? seconds : 0.9 * recent_seconds_ + 0.1 * seconds;
    settle_length();
    StepReport done = report(loss, norm, rate, static_cast<double>(tokens) / seconds);
    done.data_wait = feed_->waited() - waited;
    return done;
  }

  void skip() {
    constexpr Index most = 20;
    ++state_.skipped;
    parts_.progress.message("step " + std::to_string(state_.step + 1) +
                            " left the model as it was, since its loss or gradient was not finite");
    if (++skipped_in_a_row_ > most)
      throw burrow::Error("the loss was not finite in " + std::to_string(skipped_in_a_row_) +
                          " steps in a row (last: step " + std::to_string(state_.step + 1) +
                          "); lower --learning-rate or --clip. The last checkpoint is intact.");
  }

  /// A run with a time limit learns its number of steps from its first ones; the number is then kept, so that
  /// the learning rate has an end to fall towards and a resumed run does the same.
  void settle_length() {
    constexpr Index probe = 12;
    if (state_.total_steps > 0 || state_.step < probe) return;
    const double left = configuration_.time_limit * 60 - elapsed();
    state_.total_steps = state_.step + std::max<Index>(1, static_cast<Index>(left / recent_seconds_));
    world().broadcast(std::span{&state_.total_steps, 1});
    if (schedule_.steps > 0) state_.total_steps = std::min(state_.total_steps, schedule_.steps);
    settle_warmup();
  }

  StepReport report(double loss, double norm, double rate, double tokens_per_second) {
    state_.elapsed = elapsed();
    const double flops = model_flops_per_token(configuration_.size);
    StepReport r;
    r.step = state_.step;
    r.steps = state_.total_steps;
    r.tokens = state_.tokens;
    r.loss = loss;
    r.bits_per_byte = bits_per_byte(loss, parts_.corpus.bytes_per_token);
    r.learning_rate = rate;
    r.gradient_norm = norm;
    r.tokens_per_second = tokens_per_second;
    const double peak = product_peak(parts_.peaks, configuration_.precision);  // of the CPU
    if (std::same_as<D, Cpu> && peak > 0) r.utilisation = flops * tokens_per_second / (peak * world().size());
    if (state_.total_steps > 0)
      r.seconds_left = static_cast<double>(state_.total_steps - state_.step) * recent_seconds_;
    r.elapsed = state_.elapsed;
    r.skipped = state_.skipped;
    return r;
  }

  void evaluate(Index tokens) {
    const EvaluationWindows& windows = parts_.corpus.held_out;
    const Index context = configuration_.size.context;
    const Index count =
        std::clamp<Index>((tokens + context - 1) / context, 1, static_cast<Index>(windows.count()));
    const auto score = [&](Index passes, const auto& batch, const auto& found) {
      layout_.score(model_, passes, batch, found);
    };
    const HeldOutLoss found = held_out_loss(score, windows, parts_.corpus.tokenizer, count,
                                            configuration_.micro_batch, parts_.ranks);
    if (!leads()) return;
    const EvaluationReport r{state_.step, state_.tokens, found.loss.mean(), found.bits_per_byte(),
                             parts_.corpus.baseline_bits_per_byte};
    metrics_->evaluation(r);
    parts_.progress.evaluation(r);
  }

  void begin_checkpoint() {
    record_checkpoint();
    std::visit([&](auto& o) { checkpoints_.begin(model_, o, state_); }, optimizer_);
  }
  std::filesystem::path last_checkpoint() {
    if (checkpoints_.newest() != state_.step) record_checkpoint();
    std::visit([&](auto& o) { checkpoints_.write_last(model_, o, state_); }, optimizer_);
    return parts_.files.checkpoint(state_.step);
  }
  /// Before it is written: a resumed run keeps the records up to it.
  void record_checkpoint() {
    if (leads()) metrics_->checkpoint(state_.step, parts_.files.checkpoint(state_.step));
  }

  void finish() {
    const auto path = last_checkpoint();
    if (state_.step > 0) evaluate(std::numeric_limits<std::int32_t>::max());
    if (!leads()) return;
    std::string samples;
    layout_.with_whole(model_, path, [&](const auto& model) {
      samples = sample_texts(model, configuration_, parts_.corpus.tokenizer);
    });
    const std::string run = parts_.files.root.string();
    parts_.directory->write_text(
        std::filesystem::relative(parts_.files.samples(state_.step), parts_.files.root).string(), samples);
    parts_.progress.message("checkpoint " + path.string() + "\nsamples (temperature 0.8, nucleus 0.95):");
    std::cout << samples << std::flush;
    parts_.progress.message("continue a text:  gopher generate --run " + run + " --prompt \"...\"\n" +
                            "train on:         gopher train --resume --run " + run +
                            " --time-limit 0 --steps " + std::to_string(2 * state_.step));
  }

  void interrupt() {
    const auto path = last_checkpoint();
    parts_.progress.message("stopped after step " + std::to_string(state_.step) + "; checkpoint " +
                            path.string() + "\ngo on with:  gopher train --resume --run " +
                            parts_.files.root.string());
  }

  void record_costs() {
    std::visit([&](auto& o) { costs_.memory = kept_bytes(model_, o); }, optimizer_);
    note_peak();
    checkpoints_.add_to(costs_);
    gather(costs_, world());
    if (leads()) metrics_->costs(state_.step, parts_.ranks.shape().text(), costs_);
  }

  SessionParts parts_;
  RunConfiguration configuration_;
  BatchSchedule schedule_;
  Layout layout_;
  Model model_;
  Optimizer optimizer_;
  std::optional<MetricsLog> metrics_;
  TrainingState state_;
  std::chrono::steady_clock::time_point start_{};
  double elapsed_before_ = 0, time_ = 0;
  bool stopping_ = false;
  RunCosts costs_;
  double recent_seconds_ = 0;
  Index skipped_in_a_row_ = 0;
  std::optional<StepProfile> profile_;
  std::optional<BatchFeed> feed_;
  DevicePasses<Policy> passes_;
  RunCheckpoints checkpoints_;
};

}  // namespace gopher
