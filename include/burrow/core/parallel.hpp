// Loops over all threads of the process. One pool of threads serves the whole library; a loop inside a loop
// runs on the thread that meets it.
#pragma once

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include <burrow/core/locks.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

namespace detail {

/// Threads that wait for a task and run it together with the caller. They are the system's, for <thread> and
/// <condition_variable> take long to compile.
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
    Mutex error_mutex{};
  };

  static constexpr int spins = 4000;

  [[gnu::noinline]] void run(int count, void (*call)(const void*, int), const void* task) {
    if (count <= 0) return;
    if (count == 1 || size_ == 1 || inside()) {
      for (int i = 0; i < count; ++i) call(task, i);
      return;
    }
    const Hold entry{entry_};
    start();
    Job job{call, task, count};
    job_ = &job;
    busy_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
    begin_generation();
    work(job);
    for (int spin = 0; spin < spins && busy_.load(std::memory_order_acquire) != 0; ++spin) pause();
    for (int busy; (busy = busy_.load(std::memory_order_acquire)) != 0;)
      busy_.wait(busy, std::memory_order_acquire);
    if (job.error) std::rethrow_exception(job.error);
  }

  ThreadPool() : size_{static_cast<int>(std::max(sysconf(_SC_NPROCESSORS_ONLN), 1L))} {}

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
        const Hold lock{job.error_mutex};
        if (!job.error) job.error = std::current_exception();
      }
    }
    inside() = false;
  }

  void start() {
    if (static_cast<int>(threads_.size()) + 1 >= size_) return;
    threads_.reserve(static_cast<std::size_t>(size_));
    first_seen_ = generation_.load(std::memory_order_relaxed);
    const auto serve = [](void* pool) -> void* {
      static_cast<ThreadPool*>(pool)->serve();
      return nullptr;
    };
    while (static_cast<int>(threads_.size()) + 1 < size_) {
      pthread_t thread{};
      if (const int error = pthread_create(&thread, nullptr, serve, this); error != 0) no_thread(error);
      threads_.push_back(thread);
    }
  }

  [[noreturn, gnu::cold, gnu::noinline]] void no_thread(int error) const {
    throw Error(Message{}
                    .add("threads: the system gives no more than ")
                    .add(static_cast<Index>(threads_.size() + 1))
                    .add(" of ")
                    .add(size_)
                    .add(": ")
                    .add(std::strerror(error))
                    .text());
  }

  /// What a thread of the pool does: the jobs of all generations after the one in which it was made.
  void serve() {
    for (unsigned seen = first_seen_;;) {
      for (int spin = 0; spin < spins && generation_.load(std::memory_order_acquire) == seen; ++spin) pause();
      generation_.wait(seen, std::memory_order_acquire);
      ++seen;
      if (stopping_) return;
      work(*job_);
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
    }
  }

  void begin_generation() {
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
  }

  void stop() {
    stopping_ = true;
    begin_generation();
    for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
    threads_.clear();
    stopping_ = false;
  }

  int size_;
  Mutex entry_;
  std::atomic<unsigned> generation_{0};
  unsigned first_seen_ = 0;  // of the threads that were made last
  std::atomic<int> busy_{0};
  Job* job_ = nullptr;
  bool stopping_ = false;
  std::vector<pthread_t> threads_;
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
