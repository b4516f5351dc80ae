// Norms over more than one row: BatchNorm, whose running statistics are saved and not trained, and GroupNorm.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <burrow/nn/module.hpp>
#include <burrow/ops/rows.hpp>
#include <burrow/ops/statistics/statistics.hpp>

namespace burrow {

/// The means and variances that batch norms found in one forward pass. A call with it is a call for training;
/// afterwards `update` brings them into the running statistics. Copies are one collection; what a
/// rematerialised block finds again takes the place of the same.
class BatchStatistics {
 public:
  /// Keeps what one batch gave for a running statistic; done by `BatchNorm`.
  template <class T, class S, class D, class Found>
  requires detail::on_host<D>
  void add(const Statistic<T, S, D>& running, const Found& found) const {
    const auto values = materialize(stop_gradient(found));
    const auto store = running.store();
    const auto bring_in = [store, offset = running.offset(), values](double momentum) {
      T* const to = static_cast<T*>(store->storage.data()) + offset;
      using C = compute_type<T>;
      for (Index i = 0; i < values.size(); ++i)
        to[i] = static_cast<T>(static_cast<C>(1 - momentum) * static_cast<C>(to[i]) +
                               static_cast<C>(momentum) * static_cast<C>(values.data()[i]));
    };
    for (Entry& entry : *found_)
      if (entry.store == store.get() && entry.offset == running.offset()) {
        entry.bring_in = bring_in;
        return;
      }
    found_->push_back({store.get(), running.offset(), bring_in});
  }

  /// running = (1 - momentum) running + momentum found, for each batch norm that was called, once.
  void update(double momentum = 0.1) {
    for (const Entry& entry : *found_) entry.bring_in(momentum);
    found_->clear();
  }

 private:
  struct Entry {
    const detail::ParameterStore* store;
    Index offset;
    std::function<void(double)> bring_in;
  };
  std::shared_ptr<std::vector<Entry>> found_ = std::make_shared<std::vector<Entry>>();
};

namespace detail {

/// (x - mean) / sqrt(variance + epsilon)
template <class X, class Mean, class Variance>
auto standardised(const X& x, const Mean& mean, const Variance& variance, double epsilon) {
  return (x - mean) * rsqrt(variance + epsilon);
}

}  // namespace detail

/// y = (x - mean) g / sqrt(variance + epsilon) + b for each feature (Ioffe and Szegedy 2015): [..., Features]
/// to the same, images with channels last. layer(x, statistics), with a `BatchStatistics`, takes mean and
/// variance over all axes but the last of this batch, through which the gradient flows, and keeps them (the
/// variance times n / (n - 1), as in the paper's algorithm 2) for `statistics.update()`; layer(x) takes the
/// running ones, as constants. Computed in fp32 for half and bf16. On the host.
template <Index Features, class Policy = Float32<Cpu>>
struct BatchNorm {
  static constexpr bool mixes_rows = true;  ///< the batch's mean is shared by all
  Parameter<typename Policy::parameter, Shape<Features>, typename Policy::device> gain{init::ones};
  Parameter<typename Policy::parameter, Shape<Features>, typename Policy::device> bias{init::zeros};
  Statistic<typename Policy::parameter, Shape<Features>, typename Policy::device> running_mean{init::zeros};
  Statistic<typename Policy::parameter, Shape<Features>, typename Policy::device> running_variance{
      init::ones};
  double epsilon = 1e-5;

  static BatchNorm sized(Index features) {
    const Shape<Features> shape{{features}};
    return {{shape, init::ones}, {shape, init::zeros}, {shape, init::zeros}, {shape, init::ones}};
  }

  auto operator()(const auto& x, Location where = Location::here()) const {
    using C = compute_type<element_of<decltype(x)>>;
    detail::check_per_feature("BatchNorm", "gain", gain.shape(), x.shape(), where);
    return scaled<element_of<decltype(x)>>(detail::standardised(
        cast<C>(x), cast<C>(stop_gradient(running_mean)), cast<C>(stop_gradient(running_variance)), epsilon));
  }

  auto operator()(const auto& x, const BatchStatistics& statistics, Location where = Location::here()) const {
    using C = compute_type<element_of<decltype(x)>>;
    detail::check_per_feature("BatchNorm", "gain", gain.shape(), x.shape(), where);
    const auto in = dense_operand(tape_of(x), x);
    const Index count = in.shape().size() / std::max<Index>(in.shape()[-1], 1);
    const auto rows = reshape(in, Shape<dyn, Features>{{count, in.shape()[-1]}});
    const auto centre = mean<0>(cast<C>(rows));
    const auto spread = variance<0>(cast<C>(rows));
    statistics.add(running_mean, centre);
    statistics.add(running_variance, spread * (static_cast<double>(count) /
                                               static_cast<double>(std::max<Index>(count - 1, 1))));
    return scaled<element_of<decltype(x)>>(detail::standardised(cast<C>(in), centre, spread, epsilon));
  }

 private:
  template <class Out>
  auto scaled(const auto& x) const {
    using C = element_of<decltype(x)>;
    return cast<Out>(x * cast<C>(gain) + cast<C>(bias));
  }
};

/// The same with mean and variance over all pixels and the features of one group, of each item of the batch
/// (Wu and He 2018): [B, ..., Features] to the same, in Groups groups of neighbouring features. One group is
/// a layer norm over pixels and features, a group to each feature an instance norm. The epsilon is added to
/// variances. Computed in fp32 for half and bf16.
template <Index Features, Index Groups, class Policy = Float32<Cpu>>
struct GroupNorm {
  static_assert(Groups > 0 && Features % Groups == 0,
                "GroupNorm: the features are not divided into equal groups");
  static constexpr bool mixes_rows = true;  ///< of an image
  Parameter<typename Policy::parameter, Shape<Features>, typename Policy::device> gain{init::ones};
  Parameter<typename Policy::parameter, Shape<Features>, typename Policy::device> bias{init::zeros};
  double epsilon = 1e-5;

  auto operator()(const auto& x, Location where = Location::here()) const {
    using Out = element_of<decltype(x)>;
    using C = compute_type<Out>;
    detail::check_per_feature("GroupNorm", "gain", gain.shape(), x.shape(), where);
    const auto in = dense_operand(tape_of(x), x);
    static_assert(shape_of<decltype(in)>::rank >= 2, "GroupNorm: the input is [B, ..., Features]");
    const Index items = in.shape()[0], pixels = in.shape().size() / std::max<Index>(items * Features, 1);
    constexpr Index width = Features / Groups;
    using Grouped = Shape<shape_of<decltype(in)>::extents[0], dyn, Groups, width>;
    const auto grouped = cast<C>(reshape(in, Grouped{{items, pixels, Groups, width}}));
    const auto normed = detail::standardised(grouped, mean<1, 3>(grouped, keep_axes),
                                             variance<1, 3>(grouped, keep_axes), epsilon);
    return cast<Out>(reshape(materialize(normed), in.shape()) * cast<C>(gain) + cast<C>(bias));
  }
};

}  // namespace burrow
