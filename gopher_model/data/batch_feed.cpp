#include "gopher_model/data/batch_feed.hpp"

#include <chrono>
#include <utility>

namespace gopher {

Batch read_batch(const Loader& loader, const SampleRange& range) {
  const burrow::Shape<burrow::dyn, burrow::dyn> shape{{range.count, loader.context()}};
  const auto tokens = [&] {  // beside what a step has, which does not depend on how far the reader is
    burrow::Buffer<burrow::Cpu> room{shape.size() * burrow::Index{sizeof(std::int32_t)},
                                     burrow::MemoryUse::scratch};
    auto* const data = static_cast<std::int32_t*>(room.data());
    return Batch::Tokens::over(std::move(room), data, shape);
  };
  Batch batch{tokens(), tokens(), range.first};
  const auto length = static_cast<std::size_t>(loader.context());
  const auto inputs = batch.inputs.values(), targets = batch.targets.values();
  const auto count = static_cast<std::size_t>(range.count);
  for (std::size_t i = 0; i < count; ++i) loader.will_read(range.first + i);
  for (std::size_t i = 0; i < count; ++i)
    loader.sample(range.first + i, inputs.subspan(i * length, length), targets.subspan(i * length, length));
  return batch;
}

BatchFeed::BatchFeed(const Loader& loader, std::function<SampleRange()> plan, std::size_t ahead)
    : loader_{loader}, plan_{std::move(plan)}, ahead_{ahead}, thread_{[this] { run(); }} {}

BatchFeed::~BatchFeed() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Batch BatchFeed::next() {
  std::unique_lock lock{mutex_};
  const auto is_ready = [this] { return !ready_.empty() || error_; };
  if (!is_ready()) {
    const auto start = std::chrono::steady_clock::now();
    changed_.wait(lock, is_ready);
    waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  if (ready_.empty()) std::rethrow_exception(error_);
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return batch;
}

void BatchFeed::run() {
  std::unique_lock lock{mutex_};
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || ready_.size() < ahead_; });
    if (stopping_) return;
    lock.unlock();
    try {
      Batch batch = read_batch(loader_, plan_());
      lock.lock();
      ready_.push_back(std::move(batch));
    } catch (...) {
      lock.lock();
      error_ = std::current_exception();
    }
    changed_.notify_all();
    if (error_) return;
  }
}

}  // namespace gopher
