// Training batches prepared while the step before them runs.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include <burrow/tensor/tensor.hpp>

#include "gopher_model/data/loader.hpp"

namespace gopher {

/// Some consecutive samples of a loader.
struct SampleRange {
  std::uint64_t first = 0;
  std::int64_t count = 0;
};

/// Samples as a model takes them: [count, context] inputs, and for each the token that follows.
struct Batch {
  using Tokens = burrow::Tensor<std::int32_t, burrow::Shape<burrow::dyn, burrow::dyn>>;
  Tokens inputs, targets;
  std::uint64_t first = 0;  ///< the number of its first sample
};

/// Reads samples now.
Batch read_batch(const Loader& loader, const SampleRange& range);

/// Reads batches in a thread of its own, in the order of a plan, at most `ahead` of them before they are
/// asked for.
class BatchFeed {
 public:
  /// `plan` gives the ranges one after another; it is called in that thread only. The loader must outlive the
  /// feed.
  BatchFeed(const Loader& loader, std::function<SampleRange()> plan, std::size_t ahead = 2);
  BatchFeed(const BatchFeed&) = delete;
  BatchFeed& operator=(const BatchFeed&) = delete;
  ~BatchFeed();

  /// The next batch. Throws what reading it threw; so does every later call.
  Batch next();

  /// Seconds that `next` waited for batches which were not ready, all calls together.
  double waited() const { return waited_; }

 private:
  void run();

  const Loader& loader_;
  std::function<SampleRange()> plan_;
  std::size_t ahead_;
  double waited_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::exception_ptr error_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses the others
};

}  // namespace gopher
