// Loops over all threads of the process. One pool of threads serves the whole library; a loop inside a loop
// runs on the thread that meets it.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <burrow/core/shape.hpp>

namespace burrow {

namespace detail {

/// Threads that wait for a task and run it together with the caller.
class ThreadPool {
 public:
  [[gnu::noinline]] static ThreadPool& instance() {
    static ThreadPool pool;
    return pool;
  }

  int size() const { return size_; }

  void resize(int threads) {
    stop();
    size_ = std::max(threads, 1);
  }

  /// Calls task(i) for i in [0, count) on all threads; returns when all are done. Rethrows the first
  /// exception.
  template <class Task>
  void run(int count, const Task& task) {
    run(
        count, [](const void* t, int i) { (*static_cast<const Task*>(t))(i); }, &task);
  }

  ~ThreadPool() { stop(); }

 private:
  struct Job {
    void (*call)(const void*, int);
    const void* task;
    int count;
    std::atomic<int> next{0};
    std::exception_ptr error{};
    std::mutex error_mutex{};
  };

  static constexpr int spins = 4000;

  [[gnu::noinline]] void run(int count, void (*call)(const void*, int), const void* task) {
    if (count <= 0) return;
    if (count == 1 || size_ == 1 || inside()) {
      for (int i = 0; i < count; ++i) call(task, i);
      return;
    }
    const std::lock_guard entry{entry_};
    start();
    Job job{call, task, count};
    {
      const std::lock_guard lock{mutex_};
      job_ = &job;
      busy_ = static_cast<int>(threads_.size());
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    work(job);
    for (int spin = 0; spin < spins && busy_.load(std::memory_order_acquire) != 0; ++spin) pause();
    if (busy_.load(std::memory_order_acquire) != 0) {
      std::unique_lock lock{mutex_};
      done_.wait(lock, [&] { return busy_.load(std::memory_order_acquire) == 0; });
    }
    if (job.error) std::rethrow_exception(job.error);
  }

  ThreadPool() : size_{static_cast<int>(std::max(std::thread::hardware_concurrency(), 1u))} {}

  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  static bool& inside() {
    thread_local bool value = false;
    return value;
  }

  static void work(Job& job) {
    inside() = true;
    for (int i; (i = job.next.fetch_add(1, std::memory_order_relaxed)) < job.count;) {
      try {
        job.call(job.task, i);
      } catch (...) {
        const std::lock_guard lock{job.error_mutex};
        if (!job.error) job.error = std::current_exception();
      }
    }
    inside() = false;
  }

  void start() {
    while (static_cast<int>(threads_.size()) + 1 < size_)
      threads_.emplace_back([this, seen = generation_.load(std::memory_order_acquire)]() mutable {
        for (;;) {
          for (int spin = 0; spin < spins && generation_.load(std::memory_order_acquire) == seen; ++spin)
            pause();
          {
            std::unique_lock lock{mutex_};
            wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
            seen = generation_.load(std::memory_order_acquire);
            if (stopping_) return;
          }
          work(*job_);
          if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            const std::lock_guard lock{mutex_};
            done_.notify_one();
          }
        }
      });
  }

  void stop() {
    {
      const std::lock_guard lock{mutex_};
      stopping_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    stopping_ = false;
  }

  int size_;
  std::mutex entry_, mutex_;
  std::condition_variable wake_, done_;
  std::atomic<unsigned> generation_{0};
  std::atomic<int> busy_{0};
  Job* job_ = nullptr;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace detail

/// Number of threads that loops use; the machine's hardware threads unless `set_threads` said otherwise.
inline int threads() { return detail::ThreadPool::instance().size(); }

/// Sets the number of threads. Not to be called while a loop runs.
inline void set_threads(int count) { detail::ThreadPool::instance().resize(count); }

namespace detail {

/// A body of a loop without its type, so that what cuts the loop is compiled once.
struct LoopBody {
  void (*call)(const void*, Index, Index);
  const void* body;
  void operator()(Index begin, Index end) const { call(body, begin, end); }
};

[[gnu::noinline]] inline void run_pieces(Index count, Index grain, LoopBody body) {
  if (count <= 0) return;
  const Index threads_used = threads();
  if (threads_used == 1 || count / 2 < std::max<Index>(grain, 1)) return body(Index{0}, count);
  const Index pieces = std::min(count / std::max<Index>(grain, 1), 4 * threads_used);
  ThreadPool::instance().run(static_cast<int>(pieces),
                             [&](int piece) { body(count * piece / pieces, count * (piece + 1) / pieces); });
}

}  // namespace detail

/// Calls body(begin, end) on pieces of [0, count), each at least `grain` long (but the last), in parallel.
template <class Body>
void parallel_for(Index count, Index grain, const Body& body) {
  detail::run_pieces(
      count, grain,
      {[](const void* b, Index begin, Index end) { (*static_cast<const Body*>(b))(begin, end); }, &body});
}

/// Calls body(i) for each i in [0, count) in parallel; for few, large tasks.
template <class Body>
void parallel_tasks(Index count, const Body& body) {
  detail::ThreadPool::instance().run(static_cast<int>(count), [&](int i) { body(Index{i}); });
}

}  // namespace burrow
