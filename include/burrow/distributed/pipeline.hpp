// Pipeline: the ranks that have the stages of a model, and take micro-batches through them by a schedule.
//
//   Pipeline pipeline{mesh.pipeline(), one_forward_one_backward(mesh.pipeline().size(), micro_batches)};
//   auto loss = optimizer.accumulate_last_with(model, [&](auto& gradient, auto* listener) {
//     return pipeline.accumulate(model, gradient, [&](Index m) { return batch(m); }, share, listener);
//   });
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <burrow/distributed/communicator.hpp>
#include <burrow/distributed/schedule.hpp>
#include <burrow/nn/module.hpp>

namespace burrow {

/// A model of which this rank has some stages: `enter(inputs)` is the start of the first, `pass(chunk, h)`
/// takes hidden values through one of them, `loss(h, targets)` ends the last. h is a `hidden_type`, whose
/// shape `hidden_shape(inputs)` tells. `for_each_tied(f)` calls f for the parameters that the first and the
/// last stage both have. A model that draws while it is trained, as with dropout, has `pass(chunk, h, batch)`
/// as well, which finds its key in the micro-batch.
template <class M>
concept StagedModel = Module<M> && requires(const M& model) {
  typename M::hidden_type;
  model.for_each_tied([](const auto&) {});
};

namespace detail {

/// h through a stage as it is trained.
template <class Model, class H, class Batch>
auto trained_pass(const Model& model, int chunk, const H& h, const Batch& batch) {
  if constexpr (requires { model.pass(chunk, h, batch); })
    return model.pass(chunk, h, batch);
  else
    return model.pass(chunk, h);
}

}  // namespace detail

/// A rank's part in a pipeline of the ranks of C, of which the first has the first stage.
template <Communicator C>
class Pipeline {
 public:
  /// All ranks call it. Throws ConfigError where the schedule is for another number of ranks.
  Pipeline(C ranks, PipelineSchedule schedule, Location where = Location::here())
      : ranks_{std::move(ranks)}, schedule_{std::move(schedule)}, expected_(schedule_.actions.size()) {
    if (schedule_.ranks != ranks_.size())
      throw ConfigError("pipeline: the schedule is for " + std::to_string(schedule_.ranks) + " ranks, not " +
                        std::to_string(ranks_.size()) + burrow::at(where));
    const int last = ranks_.size() - 1, rank = ranks_.rank();
    const bool end = rank == 0 || rank == last;
    C group = ranks_.split(end ? 0 : 1, rank);
    if (end) ends_ = std::move(group);
    for (int from = 0; from <= last; ++from)
      for (const PipelineAction& action : schedule_.actions[at(from)])
        if (const auto message = message_of(from, action); message && message->to == rank)
          expected_[at(from)].push_back(*message);
  }

  const PipelineSchedule& schedule() const { return schedule_; }
  const C& ranks() const { return ranks_; }
  /// The first and the last rank, which add the gradients of tied parameters; on others, they alone.
  const C& ends() const { return ends_; }
  /// What this rank has sent to the others of the pipeline, tied gradients included.
  Traffic traffic() const {
    Traffic sent = ranks_.traffic();
    return sent += ends_.traffic();
  }

  /// Takes the micro-batches m = 0, 1, ... of the schedule through the stages, adds the gradient of `scale`
  /// times the sum of their losses to `gradient`, and returns that sum, on every rank. batch(m) has `inputs`
  /// and `targets`, the same on all ranks. Gradients of tied parameters are added over the first and the last
  /// rank. A listener is told of the last micro-batch's backward passes as if they were one sweep.
  template <StagedModel Model, class Batch>
  double accumulate(const Model& model, Gradient<Model>& gradient, const Batch& batch, float scale,
                    detail::SweepListener* listener = nullptr, Location where = Location::here()) const {
    const Untied<Model> before{model, gradient, ends_};
    if (listener != nullptr && ends_.size() > 1)
      model.for_each_tied([&](const auto& tied) { listener->used(tied.offset(), ChunkSweep::never); });
    Run<Model, Batch> run{*this, model, gradient, batch, scale, listener, where};
    const double loss = run.all();
    before.add(where);
    return ranks_.all_reduce(loss, Reduction::sum, where);
  }

  /// Takes batch(m) for m = 0 ... count - 1 through the stages without a trace, and calls found(batch(m),
  /// loss) with what the model's loss gives, on the last rank alone.
  template <StagedModel Model, class Batch, class Found>
  void forward(const Model& model, Index count, const Batch& batch, const Found& found,
               Location where = Location::here()) const {
    using Hidden = typename Model::hidden_type;
    std::deque<std::pair<Hidden, Pending>> sent;
    std::optional<Hidden> stays;  // for another stage of this rank
    for (Index m = 0; m < count; ++m)
      for (int chunk = 0; chunk < schedule_.chunks; ++chunk) {
        const auto& one = batch(m);
        const int stage = schedule_.stage(ranks_.rank(), chunk), last = schedule_.stages() - 1;
        const int from = (stage + ranks_.size() - 1) % ranks_.size(), to = (stage + 1) % ranks_.size();
        if (stage == 0) {
          stays = materialize(model.enter(one.inputs));
        } else if (from != ranks_.rank()) {
          stays.emplace(model.hidden_shape(one.inputs));
          ranks_.receive(stays->values(), from, where);
        }
        Hidden h = model.pass(chunk, *stays);
        if (stage == last) {
          found(one, model.loss(h, one.targets));
        } else if (to == ranks_.rank()) {
          stays = std::move(h);
        } else {
          sent.emplace_back(h, ranks_.start_send(std::as_const(h).values(), to, where));
          if (sent.size() > at(ranks_.size())) sent.pop_front();  // waits for what is long on its way
        }
      }
  }

 private:
  /// Hidden values or their gradient, on their way to a stage.
  struct Message {
    Pass pass;
    Index micro_batch;
    int stage, to;
    bool operator==(const Message&) const = default;
  };

  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }

  /// What a rank sends after an action; nothing at the ends of the pipeline.
  std::optional<Message> message_of(int rank, const PipelineAction& action) const {
    const int stage = schedule_.stage(rank, action.chunk) + (action.pass == Pass::forward ? 1 : -1);
    if (stage < 0 || stage >= schedule_.stages()) return std::nullopt;
    return Message{action.pass, action.micro_batch, stage, stage % schedule_.ranks};
  }

  /// Tells a listener of the sweep of one chunk, as a part of a longer one that begins with the last chunk.
  class ChunkSweep final : public detail::SweepListener {
   public:
    static constexpr std::size_t never = 0;  // before all that is swept

    ChunkSweep(detail::SweepListener& whole, int chunk)
        : whole_{whole}, begin_{1 + (static_cast<std::size_t>(chunk) << 32)} {}
    void used(Index offset, std::size_t position) override { whole_.used(offset, begin_ + position); }
    void swept(std::size_t position) override { whole_.swept(begin_ + position); }

   private:
    detail::SweepListener& whole_;
    std::size_t begin_;
  };

  /// The gradients of tied parameters as they were, so that only what is new is added over the ends.
  template <class Model>
  class Untied {
    using G = typename Gradient<Model>::element;

   public:
    Untied(const Model& model, Gradient<Model>& gradient, const C& ends)
        : model_{model}, gradient_{gradient}, ends_{ends} {
      if (ends.size() == 1) return;
      each([&](std::span<G> values) {
        before_.emplace_back(values.begin(), values.end());
        std::fill(values.begin(), values.end(), G(0));
      });
    }
    void add(Location where) const {
      if (ends_.size() == 1) return;
      std::size_t number = 0;
      each([&](std::span<G> values) {
        ends_.all_reduce(values, Reduction::sum, where);
        const auto& before = before_[number++];
        for (std::size_t i = 0; i < values.size(); ++i) values[i] += before[i];
      });
    }

   private:
    template <class F>
    void each(const F& f) const {
      model_.for_each_tied([&](const auto& parameter) {
        f(gradient_.values().subspan(at(parameter.offset()), at(parameter.size())));
      });
    }

    const Model& model_;
    Gradient<Model>& gradient_;
    const C& ends_;
    std::vector<std::vector<G, PoolAllocator<G>>> before_;
  };

  /// One passage of all micro-batches.
  template <class Model, class Batch>
  class Run {
    using Hidden = typename Model::hidden_type;
    using T = typename Hidden::element;
    using Traced = decltype(std::declval<Tape&>().watch(std::declval<const Hidden&>()));
    using Loss = decltype(std::declval<const Model&>()
                              .loss(std::declval<const Traced&>(), std::declval<const Batch&>()(0).targets)
                              .sum);

    /// A forward pass that waits for its backward pass.
    struct Passed {
      Tape tape;
      std::optional<Traced> in, out;
      std::optional<Loss> loss;
    };

   public:
    Run(const Pipeline& pipeline, const Model& model, Gradient<Model>& gradient, const Batch& batch,
        float scale, detail::SweepListener* listener, Location where)
        : pipeline_{pipeline},
          schedule_{pipeline.schedule_},
          model_{model},
          gradient_{gradient},
          batch_{batch},
          scale_{scale},
          where_{where},
          passed_(at(schedule_.chunks * schedule_.micro_batches)),
          arrived_(2 * passed_.size()),
          taken_(schedule_.actions.size(), 0) {
      for (int chunk = 0; listener != nullptr && chunk < schedule_.chunks; ++chunk)
        sweeps_.emplace_back(*listener, chunk);
    }

    double all() {
      // Tapes end in another order than they begin, so what they found is put back here.
      auto& store = parameters(model_).store();
      const struct Restored {
        detail::ParameterStore& store;
        detail::Recording recording;
        ~Restored() { store.recording = recording; }
      } restored{store, store.recording};
      for (const PipelineAction& action : schedule_.actions[at(rank())])
        action.pass == Pass::forward ? forward(action) : backward(action);
      for (Sent& sent : sent_) sent.pending.wait();
      return loss_;
    }

   private:
    struct Sent {
      Pending pending;
      Hidden values;
    };

    int rank() const { return pipeline_.ranks_.rank(); }
    std::size_t place(const PipelineAction& action) const {
      return at(action.chunk * schedule_.micro_batches + action.micro_batch);
    }

    void forward(const PipelineAction& action) {
      const int stage = schedule_.stage(rank(), action.chunk);
      auto& passed = passed_[place(action)];
      passed = std::make_unique<Passed>();
      Tape& tape = passed->tape;
      auto& store = parameters(model_).store();
      const bool tells = !sweeps_.empty() && action.micro_batch + 1 == schedule_.micro_batches;
      tape.differentiate(store, gradient_.values().data(), gradient_.ranges(),
                         tells ? &sweeps_[at(action.chunk)] : nullptr);
      const auto& batch = batch_(action.micro_batch);
      std::optional<Traced> h;
      if (stage == 0)
        h = materialize(model_.enter(tape.watch(batch.inputs)));
      else
        h = passed->in = tape.watch(received(action));
      h = detail::trained_pass(model_, action.chunk, *h, batch);
      if (stage + 1 < schedule_.stages()) {
        passed->out = h;
        send(action, h->value());
      } else {
        passed->loss = materialize(model_.loss(*h, batch.targets).sum * scale_);
        loss_ += static_cast<double>(passed->loss->item());
      }
      store.listener = nullptr;  // what other tapes record is not told
    }

    void backward(const PipelineAction& action) {
      const auto passed = std::move(passed_[place(action)]);
      if (passed->loss)
        passed->tape.backward(*passed->loss, where_);
      else
        passed->tape.backward(*passed->out, received(action), where_);
      if (passed->in) send(action, passed->tape.gradient(*passed->in));
    }

    void send(const PipelineAction& action, const Hidden& values) {
      const auto message = pipeline_.message_of(rank(), action);
      if (message->to == rank()) {
        mailbox(*message) = values;
        return;
      }
      sent_.push_back({pipeline_.ranks_.start_send(values.values(), message->to, where_), values});
      std::erase_if(sent_, [](Sent& sent) { return sent.pending.ready(); });
    }

    /// What a rank before or after this one, or this one, has sent for an action.
    Hidden received(const PipelineAction& action) {
      const int stage = schedule_.stage(rank(), action.chunk);
      const Message wanted{action.pass, action.micro_batch, stage, rank()};
      const int from = (stage + (action.pass == Pass::forward ? schedule_.ranks - 1 : 1)) % schedule_.ranks;
      auto& place = mailbox(wanted);
      while (!place) {  // messages come in the order in which they were sent
        const Message& next = pipeline_.expected_[at(from)][taken_[at(from)]++];
        Hidden values{model_.hidden_shape(batch_(next.micro_batch).inputs)};
        pipeline_.ranks_.receive(values.values(), from, where_);
        mailbox(next) = std::move(values);
      }
      Hidden values = std::move(*place);
      place.reset();
      return values;
    }

    std::optional<Hidden>& mailbox(const Message& message) {
      const Index chunk = message.stage / schedule_.ranks;
      return arrived_[at((chunk * schedule_.micro_batches + message.micro_batch) * 2 +
                         (message.pass == Pass::backward ? 1 : 0))];
    }

    const Pipeline& pipeline_;
    const PipelineSchedule& schedule_;
    const Model& model_;
    Gradient<Model>& gradient_;
    const Batch& batch_;
    float scale_;
    Location where_;
    std::vector<std::unique_ptr<Passed>> passed_;
    std::vector<std::optional<Hidden>> arrived_;
    std::vector<std::size_t> taken_;  // messages taken from each rank
    std::vector<Sent> sent_;
    std::deque<ChunkSweep> sweeps_;  // of the last micro-batch, where somebody listens
    double loss_ = 0;
  };

  C ranks_, ends_{};  // the first and the last rank; alone on the others
  PipelineSchedule schedule_;
  std::vector<std::vector<Message>> expected_;  // what each rank sends here, in order
};

}  // namespace burrow
