// Reduction that begins while the backward pass goes on: a gradient's buckets leave as soon as they are
// complete.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include <burrow/autodiff/parameter_store.hpp>
#include <burrow/distributed/communicator.hpp>
#include <burrow/optim/layout.hpp>

namespace burrow::detail {

/// Exchanges that were begun one after the other.
class PendingList {
 public:
  void add(Pending pending) { all_.push_back(std::move(pending)); }
  /// Lets those under way make progress, a few at a time. Calls done(i) for each that is done, in their
  /// order.
  template <class Done>
  void advance(const Done& done) {
    constexpr std::size_t most = 4;
    for (std::size_t i = done_; i < std::min(done_ + most, all_.size()); ++i)
      if (all_[i].ready() && i == done_) done(done_++);
  }
  /// Returns when at most `left` are under way. Calls done(i) for each that is done and was not told.
  template <class Done>
  void wait_for_all_but(std::size_t left, const Done& done) {
    while (all_.size() - done_ > left) {
      all_[done_].wait();
      done(done_++);
    }
  }
  /// Returns when all are done, as above.
  template <class Done>
  void wait(const Done& done) {
    wait_for_all_but(0, done);
    all_.clear();
    done_ = 0;
  }

 private:
  std::vector<Pending, PoolAllocator<Pending>> all_;
  std::size_t done_ = 0;
};

/// Hears how far a sweep has come and calls start(b) for each bucket [bounds[b], bounds[b + 1]) of the flat
/// gradient, from the last to the first, so that ranks begin their exchanges in the same order. `start` gives
/// a Pending; done(b) is called when that is done. No more than `most` are under way: the next waits for the
/// first of them, on all ranks alike, so that their scratch memory is bounded.
template <class Start, class Done>
class OverlappedReduction final : public SweepListener {
 public:
  OverlappedReduction(std::span<const Index> bounds, const ParameterLayout& layout, PendingList& begun,
                      Index most, const Start& start, const Done& done)
      : bounds_{bounds},
        layout_{layout},
        begun_{begun},
        most_{static_cast<std::size_t>(most)},
        start_{start},
        done_{done},
        first_use_(bounds.size() - 1, never),
        left_{bounds.size() - 1} {}

  void used(Index offset, std::size_t position) override {
    const auto place = std::lower_bound(layout_.begin(), layout_.end(), offset,
                                        [](const ParameterPlace& p, Index at) { return p.end() <= at; });
    const Index last = place == layout_.end() ? bounds_.back() - 1 : std::max(place->end() - 1, offset);
    for (std::size_t b = bucket_of(offset); b <= bucket_of(last); ++b)
      first_use_[b] = std::min(first_use_[b], position);
  }
  void swept(std::size_t position) override {
    while (left_ > 0 && first_use_[left_ - 1] >= position) begin_next();
    begun_.advance([&](std::size_t i) { tell_done(i); });
  }
  /// Begins what is left, once the sweep has ended.
  void finish() {
    while (left_ > 0) begin_next();
  }
  /// Returns when all is done.
  void wait() {
    begun_.wait([&](std::size_t i) { tell_done(i); });
  }

 private:
  static constexpr auto never = std::numeric_limits<std::size_t>::max();

  void begin_next() {
    begun_.wait_for_all_but(most_ - 1, [&](std::size_t i) { tell_done(i); });
    begun_.add(start_(--left_));
  }
  void tell_done(std::size_t i) { done_(first_use_.size() - 1 - i); }

  std::size_t bucket_of(Index element) const {
    return static_cast<std::size_t>(std::upper_bound(bounds_.begin(), bounds_.end(), element) -
                                    bounds_.begin()) -
           1;
  }

  std::span<const Index> bounds_;
  const ParameterLayout& layout_;
  PendingList& begun_;
  std::size_t most_;
  const Start& start_;
  const Done& done_;
  std::vector<std::size_t, PoolAllocator<std::size_t>> first_use_;
  std::size_t left_;
};

}  // namespace burrow::detail
