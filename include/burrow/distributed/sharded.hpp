// Sharded: an optimizer whose memory is divided among the ranks that share a batch (ZeRO: Rajbhandari et al.
// 2020). Each rank updates its part of the flat parameters and hands it to the others.
//
//   auto optimizer = Sharded{Adam{model, options}, mesh.data()};
//   optimizer.step(model, gradient);      // as Adam's; `gradient` is that of this rank's part of the batch
#pragma once

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <burrow/core/live.hpp>
#include <burrow/distributed/buckets.hpp>
#include <burrow/distributed/mesh.hpp>
#include <burrow/distributed/overlap.hpp>
#include <burrow/distributed/presence.hpp>
#include <burrow/distributed/sharding_options.hpp>
#include <burrow/optim/clip.hpp>
#include <burrow/optim/model_optimizer.hpp>

namespace burrow {

/// A part of what an optimizer remembers: the values from `first` on, of the `count` that all ranks have
/// under this name.
template <class C>
struct ShardedValues {
  std::string_view name;
  std::span<C> values;
  StateExtent extent;
  Index first, count;
};

/// All that a rank remembers, and the number of steps made.
template <class C>
struct ShardedState {
  Index steps;
  std::vector<ShardedValues<C>> values;  ///< this rank's parts
};

/// A gradient that was added over all ranks: the parts of it that this rank updates with.
template <Real G>
struct ReducedGradient {
  std::vector<std::span<const G>, PoolAllocator<std::span<const G>>> parts;
  std::span<const detail::ParameterRange> ranges = {};  ///< that have a gradient; empty: all
};

namespace detail {

/// Adds values of a gradient to a sum.
template <Real G>
void add_values(Cpu, G* sum, const G* values, Index count) {
  parallel_for(count, Index{1} << 15, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) sum[i] += values[i];
  });
}

}  // namespace detail

/// An optimizer of burrow, divided among the ranks of `C`. The numbers are those of one rank that has the
/// whole batch, up to the order of sums; the same bits for every stage and size of buckets. The gradients of
/// ranks are added, not averaged: divide losses by the number of terms that all ranks have together.
template <class Optimizer, Communicator C>
class Sharded {
  using Model = typename Optimizer::model_type;
  using Slice = typename Optimizer::slice_type;
  using P = detail::module_element_of<Model>;
  using D = detail::module_device_of<Model>;
  using G = typename Gradient<Model>::element;
  using Compute = compute_type<P>;
  using Own = Tensor<G, Shape<dyn>, D>;

 public:
  using model_type = Model;

  /// Takes the options, groups and model of an optimizer that was not used yet. All ranks call it, with equal
  /// models. Throws ValueError for a stage other than 0 to 3, of which a GPU has 0 to 2, and for an optimizer
  /// that has made steps.
  Sharded(const Optimizer& whole, C ranks, const ShardingOptions& options = {},
          Location where = Location::here())
      : ranks_{std::move(ranks)}, options_{options}, layout_{whole.layout()}, own_{Shape<dyn>{{0}}} {
    detail::require_option(options.stage >= 0 && options.stage <= 3, "Sharded: the stage is 0, 1, 2 or 3",
                           where);
    detail::require_option(detail::on_host<D> || options.stage < 3,
                           "Sharded: stage 3 gives memory back by the page, which a GPU's memory cannot; "
                           "take stage 0, 1 or 2",
                           where);
    detail::require_option(options.bucket_elements > 0, "Sharded: a bucket has one element at least", where);
    detail::require_option(!whole.used(), "Sharded: the optimizer has been used already; wrap it before",
                           where);
    const auto values = whole.flat_parameters().values();
    count_ = static_cast<Index>(values.size());
    if (options.stage == 3)
      blocks_ = std::make_unique<Blocks>(ranks_, whole.flat_parameters().shared_store());
    for (const auto& [begin, parts, block] :
         detail::divided_buckets<Slice>(layout_, count_, ranks_.size(), options)) {
      const Index first = options.stage == 0 ? begin : begin + parts.begin(ranks_.rank());
      const Index own = options.stage == 0 ? parts.count() : parts.size(ranks_.rank());
      buckets_.push_back(
          {begin, parts, first, own_size_, own, block,
           Slice{std::span<const P>{values.subspan(at(first), at(own))}, first, whole.options(), layout_}});
      if (block) blocks_->add(begin, parts);
      own_size_ += own;
      bounds_.push_back(begin);
    }
    bounds_.push_back(count_);
    if (blocks_) blocks_->give_back_all();
  }

  /// Divides among the ranks of `mesh.data()`, for a model of which each rank of `mesh.model()` has a part:
  /// its norm is that of the whole model.
  Sharded(const Optimizer& whole, const Mesh<C>& mesh, const ShardingOptions& options = {})
      : Sharded{whole, mesh.data(), options} {
    model_ranks_ = mesh.model();
  }

  /// Adds the gradient of f(tape), a traced scalar, of a micro-batch of this rank, and returns its value.
  /// With stages 0 and 1 a rank keeps a whole gradient, which is reduced once in a step; with stages 2 and 3
  /// only its own part of it, to which every call adds what all ranks have: all of them make the same number
  /// of calls, in each of which buckets are added over the ranks while the backward pass goes on.
  template <class F>
  auto accumulate(const Model& model, const F& f, Location where = Location::here()) {
    if (options_.stage >= 2) return accumulate_overlapped(model, f, where);
    refuse_after_last(where);
    return accumulate_gradient(model, whole_gradient(model), f);
  }
  /// As `accumulate`, for the last micro-batch of a step: with every stage, buckets of the gradient are added
  /// over the ranks as soon as they are complete, while the backward pass goes on. The bits are the same.
  template <class F>
  auto accumulate_last(const Model& model, const F& f, Location where = Location::here()) {
    if (options_.stage >= 2) return accumulate_overlapped(model, f, where);
    return accumulate_last_with(model, adding(model, f), reductions_under_way(options_.stage), where);
  }
  /// The same where add(gradient, listener) adds by itself, as a pipeline does for all micro-batches of a
  /// step, and tells the listener, a detail::SweepListener*, how far the last sweep has come.
  template <class Add>
  auto accumulate_last_with(const Model& model, const Add& add, Location where = Location::here()) {
    return accumulate_last_with(model, add, all_under_way(), where);
  }

  /// What `accumulate` has gathered since the last call of this, added over all ranks. Throws Error where
  /// that is nothing.
  ReducedGradient<G> reduce(Location where = Location::here()) {
    if (!std::exchange(accumulating_, false))
      throw Error("Sharded: no gradient was accumulated for this step" + burrow::at(where));
    if (std::exchange(reducing_, false)) {
      begun_.wait([](std::size_t) {});
      return reduced_parts(*gradient_);
    }
    if (options_.stage < 2) return reduce(*gradient_, where);
    ReducedGradient<G> reduced;
    for (const Bucket& bucket : buckets_)
      reduced.parts.push_back({own_.data() + bucket.own_at, at(bucket.own)});
    return reduced;
  }

  /// A gradient of this rank's part of the batch, added over all ranks. It is done in place: afterwards
  /// `gradient` has the sums where this rank needs them, and must live until the step is made.
  ReducedGradient<G> reduce(Gradient<Model>& gradient, Location where = Location::here()) const {
    Pending before;
    for (std::size_t b = buckets_.size(); b-- > 0;) before = start_reduction(b, gradient.values(), where);
    before.wait();
    return reduced_parts(gradient);
  }

  /// The Euclidean norm of the whole gradient, every parameter counted once; the same number on all ranks.
  double norm(const ReducedGradient<G>& reduced, Location where = Location::here()) const {
    double sum = 0;
    for (std::size_t b = 0; b < buckets_.size(); ++b) sum += squares(buckets_[b].first, reduced.parts[b]);
    if (options_.stage > 0) sum = ranks_.all_reduce(sum, Reduction::sum, where);
    return std::sqrt(model_ranks_.all_reduce(sum, Reduction::sum, where));
  }

  /// One update of the model's parameters, in place, the same on all ranks.
  void step(Model& model, const ReducedGradient<G>& reduced, UpdateOptions now = {},
            Location where = Location::here()) {
    const std::span<P> values = parameters(model).values();
    detail::check_extent("Sharded", "the model", values.size(), count_, where);
    now.only = reduced.ranges;
    if (blocks_) blocks_->give_back_all();
    Pending before;
    for (std::size_t b = buckets_.size(); b-- > 0;) {
      Bucket& bucket = buckets_[b];
      const auto own = values.subspan(at(bucket.first), at(bucket.own));
      bucket.slice.step(own, reduced.parts[b], now);
      if (options_.stage > 0 && !bucket.block)
        before = ranks_.start_all_gather(own, values.subspan(at(bucket.begin), at(bucket.parts.count())),
                                         bucket.parts, where);
    }
    before.wait();
  }
  /// Adds a gradient over all ranks, in place, and makes the step.
  void step(Model& model, Gradient<Model>& gradient, const UpdateOptions& now = {},
            Location where = Location::here()) {
    step(model, reduce(gradient, where), now, where);
  }

  /// Calls f(first, count) for the stretches of the flat parameters that this rank has between steps: all of
  /// them, of blocks with stage 3 its own part.
  template <class F>
  void for_each_held(const F& f) const {
    for (const Bucket& bucket : buckets_)
      bucket.block ? f(bucket.first, bucket.own) : f(bucket.begin, bucket.parts.count());
  }
  /// The same for the stretches that this rank updates; with stages 1 to 3 no other rank has any of them.
  template <class F>
  void for_each_updated(const F& f) const {
    for (const Bucket& bucket : buckets_) f(bucket.first, bucket.own);
  }

  /// With stage 3, gathers all parameters, which are then whole on every rank until the next pass or step,
  /// for those who read them. With other stages they always are.
  void gather() const {
    if (blocks_) blocks_->gather_all();
  }

  /// What this rank remembers, for checkpoints: parts of the arrays that an optimizer of one rank has.
  ShardedState<Compute> state() {
    ShardedState<Compute> all{0, {}};
    for (Bucket& bucket : buckets_) {
      const auto own = bucket.slice.state();
      all.steps = own.steps;
      for (const auto& part : own.values)
        all.values.push_back({part.name, part.values, part.extent,
                              detail::state_values_before(layout_, part.extent, bucket.first),
                              detail::state_values_before(layout_, part.extent, count_)});
    }
    return all;
  }
  /// The number of steps made, when a state was read back.
  void set_steps(Index steps) {
    for (Bucket& bucket : buckets_) bucket.slice.state().steps = steps;
  }

  /// Bytes of the gradient that this rank keeps from the first micro-batch of a step to the update.
  Index gradient_bytes() const {
    const bool kept = gradient_ && options_.stage < 2;
    const auto whole = kept ? gradient_->values().size() : std::size_t{0};
    return (static_cast<Index>(whole) + own_.size()) * Index{sizeof(G)};
  }

  const ShardingOptions& options() const { return options_; }
  const C& ranks() const { return ranks_; }

 private:
  /// A stretch of the flat parameters, and the part of it that this rank updates.
  struct Bucket {
    Index begin;
    Partition parts;
    Index first, own_at, own;  // flat index, place among this rank's own elements, and number of them
    bool block;                // gathered when it is needed
    Slice slice;
  };

  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }

  /// Begins to add a bucket of a gradient over the ranks.
  Pending start_reduction(std::size_t b, std::span<G> values, Location where) const {
    const Bucket& bucket = buckets_[b];
    const auto whole = values.subspan(at(bucket.begin), at(bucket.parts.count()));
    if (options_.stage == 0) return ranks_.start_all_reduce(whole, Reduction::sum, where);
    return ranks_.start_reduce_scatter(whole, values.subspan(at(bucket.first), at(bucket.own)), bucket.parts,
                                       Reduction::sum, where);
  }

  /// The sum of the squares of a part from flat index `first` on, without parameters that other ranks count.
  double squares(Index first, std::span<const G> part) const {
    double sum = 0;
    const Index last = first + static_cast<Index>(part.size());
    Index begin = first;  // of what is counted and not added yet
    const auto add_up_to = [&](Index end) {
      if (begin < end) sum += sum_of_squares<D>(part.subspan(at(begin - first), at(end - begin)));
    };
    for (const ParameterPlace& place : layout_) {
      if (place.share.counted || place.end() <= first || place.begin >= last) continue;
      add_up_to(place.begin);
      begin = std::max(begin, place.end());
    }
    add_up_to(last);
    return sum;
  }

  ReducedGradient<G> reduced_parts(const Gradient<Model>& gradient) const {
    ReducedGradient<G> reduced{{}, gradient.ranges()};
    for (const Bucket& bucket : buckets_)
      reduced.parts.push_back(gradient.values().subspan(at(bucket.first), at(bucket.own)));
    return reduced;
  }

  /// The gradient that a rank keeps with stages 0 and 1, zero at the beginning of a step.
  Gradient<Model>& whole_gradient(const Model& model) {
    const bool first = !accumulating_;
    each_step(D{}, [this] { accumulating_ = true; });
    if (!gradient_)
      gradient_.emplace(model);
    else if (first)
      gradient_->clear();
    return *gradient_;
  }

  /// What adds the gradient of a computation.
  template <class F>
  static auto adding(const Model& model, const F& f) {
    return [&](Gradient<Model>& gradient, detail::SweepListener* listener) {
      return accumulate_gradient(model, gradient, f, listener);
    };
  }

  template <class Add>
  auto accumulate_last_with(const Model& model, const Add& add, Index most, Location where) {
    if (options_.stage >= 2) return accumulate_own_with(model, add, most, where);
    refuse_after_last(where);
    reducing_ = true;
    return overlapped(
        whole_gradient(model), add, most, [](std::size_t) {}, false, where);
  }

  /// Where ranks wait for others than those that reduce, as in a pipeline, none may wait for a bucket.
  Index all_under_way() const { return static_cast<Index>(buckets_.size()) + 1; }

  /// Adds to a gradient, and begins to reduce its buckets as they become complete, at most so many at a time;
  /// calls done(b) for those that are done. `begun_` has the others.
  template <class Add, class Done>
  auto overlapped(Gradient<Model>& gradient, const Add& add, Index most, const Done& done, bool wait,
                  Location where) {
    const auto start = [&](std::size_t b) { return start_reduction(b, gradient.values(), where); };
    detail::OverlappedReduction reduction{
        std::span<const Index>{bounds_}, layout_, begun_, most, start, done};
    const auto value = add(gradient, &reduction);
    reduction.finish();
    if (wait) reduction.wait();
    return value;
  }

  /// Adds to this rank's own part of the gradient what all ranks have of a whole one.
  template <class Add>
  auto accumulate_own_with(const Model& model, const Add& add, Index most, Location where) {
    begin_own();
    Gradient<Model> gradient{model};
    const auto done = [&](std::size_t b) { add_own(buckets_[b], gradient); };
    return overlapped(gradient, add, most, done, true, where);
  }
  template <class F>
  auto accumulate_overlapped(const Model& model, const F& f, Location where) {
    const Index most = reductions_under_way(options_.stage);
    if (options_.stage == 2) return accumulate_own_with(model, adding(model, f), most, where);
    begin_own();
    if (!gradient_) gradient_.emplace(model, detail::Untouched{});
    return overlapped(
        *gradient_, adding(model, f), most,
        [&](std::size_t b) {
          add_own(buckets_[b], *gradient_);
          detail::discard(gradient_->values().data() + buckets_[b].begin,
                          buckets_[b].parts.count() * Index{sizeof(G)});
        },
        true, where);
  }

  void begin_own() {
    const bool first = !accumulating_;
    each_step(D{}, [this] { accumulating_ = true; });
    if (own_.size() != own_size_) own_ = Own{Shape<dyn>{{own_size_}}};
    if (first && own_size_ > 0) fill_zero(D{}, own_.data(), own_size_ * Index{sizeof(G)});
  }
  /// Adds this rank's part of a bucket that was added over the ranks.
  void add_own(const Bucket& bucket, const Gradient<Model>& gradient) {
    add_values(D{}, own_.data() + bucket.own_at, gradient.values().data() + bucket.first, bucket.own);
  }

  void refuse_after_last(Location where) const {
    if (reducing_)
      throw Error("Sharded: a micro-batch after accumulate_last; call reduce() first" + burrow::at(where));
  }

  C ranks_, model_ranks_{};
  ShardingOptions options_;
  ParameterLayout layout_;
  using Blocks = detail::GatheredBlocks<P, C>;
  std::unique_ptr<Blocks> blocks_;  // with stage 3
  std::vector<Bucket> buckets_;
  std::vector<Index> bounds_;  // of the buckets in the flat parameters
  Index count_ = 0, own_size_ = 0;
  std::optional<Gradient<Model>> gradient_;
  Own own_;
  bool accumulating_ = false;
  bool reducing_ = false;  // since accumulate_last
  detail::PendingList begun_;
};

template <class Optimizer, Communicator C>
Sharded(const Optimizer&, const Mesh<C>&) -> Sharded<Optimizer, C>;
template <class Optimizer, Communicator C>
Sharded(const Optimizer&, const Mesh<C>&, const ShardingOptions&) -> Sharded<Optimizer, C>;

}  // namespace burrow
