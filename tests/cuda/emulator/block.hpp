// The threads of a CUDA block on one thread of the host: each is a fiber that runs until it meets a barrier.
// Barriers of a block and of a warp, and the exchange of values among lanes. Threads that wait for each other
// for ever are an error, not a hang.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned of_x = 1, unsigned of_y = 1, unsigned of_z = 1) : x{of_x}, y{of_y}, z{of_z} {}
};

inline constexpr int warpSize = 32;
inline thread_local uint3 threadIdx, blockIdx;
inline thread_local dim3 blockDim, gridDim;

namespace emulator {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
inline constexpr bool sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool sanitized = false;
#endif

/// Where a fiber goes on.
struct Place {
  ucontext_t context;
  jmp_buf jump;
  bool left = false;  ///< by a jump
};

/// Leaves one place for another. A swap of contexts asks the system for the signal mask, which takes longer
/// than most kernels between two barriers; so all changes but the first are jumps, which sanitizers do not
/// allow between stacks.
inline void change(Place& from, Place& to) {
  if constexpr (sanitized) {
    swapcontext(&from.context, &to.context);
  } else {
    from.left = true;
    if (_setjmp(from.jump) != 0) return;
    if (to.left) _longjmp(to.jump, 1);
    setcontext(&to.context);
  }
}

/// A point that `expected` threads reach before any goes on.
struct Barrier {
  unsigned arrived = 0;
  unsigned generation = 0;
};

class Block {
 public:
  static Block& current() { return *running(); }

  /// Calls body() in every thread of the block; blockDim, gridDim and blockIdx are set.
  static void run(unsigned threads, const std::function<void()>& body) {
    static thread_local Block block;
    running() = &block;
    block.run_threads(threads, body);
    running() = nullptr;
  }

  unsigned lane() const { return thread_ % 32; }

  /// Waits for all threads of the block that have not returned.
  void wait() {
    wait(block_barrier_, [this] { return live_; });
  }
  /// Waits for the lanes of the mask that have not returned.
  void wait_lanes(unsigned mask) {
    const unsigned warp = thread_ / 32;
    wait(warp_barriers_[warp * 32 + static_cast<unsigned>(std::countr_zero(mask))],
         [this, warp, mask] { return static_cast<unsigned>(std::popcount(mask & live_lanes_[warp])); });
  }

  /// Every lane of the mask shows `mine`; read(show) is called with show(lane), the pointer of another lane.
  template <class T, class Read>
  auto exchange(unsigned mask, const T& mine, const Read& read) {
    const unsigned first = thread_ / 32 * 32;
    shown_[thread_] = &mine;
    wait_lanes(mask);
    const auto result = read([&](unsigned lane) { return static_cast<const T*>(shown_[first + lane]); });
    wait_lanes(mask);  // what is shown lives until all have read it
    return result;
  }

 private:
  /// Runs one body after the other.
  struct Fiber {
    Place place;
    std::unique_ptr<std::byte[]> stack;
    bool done = true;
  };
  static constexpr std::size_t stack_bytes = std::size_t{128} << 10;

  static Block*& running() {
    static thread_local Block* block = nullptr;
    return block;
  }

  void run_threads(unsigned threads, const std::function<void()>& body) {
    body_ = &body;
    live_ = threads;
    block_barrier_ = {};
    warp_barriers_.assign((threads + 31) / 32 * 32, {});
    live_lanes_.assign((threads + 31) / 32, 0);
    shown_.assign((threads + 31) / 32 * 32, nullptr);
    if (fibers_.size() < threads) fibers_.resize(threads);
    for (unsigned t = 0; t < threads; ++t) {
      live_lanes_[t / 32] |= 1u << (t % 32);
      if (!fibers_[t].stack || !fibers_[t].done)
        prepare(fibers_[t]);  // new, or left at a barrier by an error
      fibers_[t].done = false;
    }
    while (live_ > 0) {
      const unsigned before = progress_;
      for (unsigned t = 0; t < threads; ++t)
        if (!fibers_[t].done) resume(t);
      if (before == progress_)
        throw std::logic_error("the threads of a block wait for each other: not all reach a barrier");
    }
  }

  static void prepare(Fiber& fiber) {
    if (!fiber.stack) fiber.stack.reset(new std::byte[stack_bytes]);
    fiber.place = {};
    ucontext_t& context = fiber.place.context;
    getcontext(&context);
    context.uc_stack.ss_sp = fiber.stack.get();
    context.uc_stack.ss_size = stack_bytes;
    context.uc_link = nullptr;
    makecontext(&context, reinterpret_cast<void (*)()>(&Block::enter), 0);
  }

  static void enter() {
    for (;;) {
      Block& block = current();
      (*block.body_)();
      block.fibers_[block.thread_].done = true;
      --block.live_;
      block.live_lanes_[block.thread_ / 32] &= ~(1u << (block.thread_ % 32));
      ++block.progress_;
      block.yield();
    }
  }

  void resume(unsigned thread) {
    thread_ = thread;
    threadIdx = {thread % blockDim.x, thread / blockDim.x % blockDim.y, thread / (blockDim.x * blockDim.y)};
    change(scheduler_, fibers_[thread].place);
  }
  void yield() { change(fibers_[thread_].place, scheduler_); }

  template <class Expected>
  void wait(Barrier& barrier, const Expected& expected) {
    const unsigned generation = barrier.generation;
    ++barrier.arrived;
    ++progress_;
    while (barrier.generation == generation) {
      if (barrier.arrived >= expected()) {  // the last one, or others have returned since
        barrier.arrived = 0;
        ++barrier.generation;
        ++progress_;
        return;
      }
      yield();
    }
  }

  Place scheduler_;
  std::vector<Fiber> fibers_;
  std::vector<Barrier> warp_barriers_;
  std::vector<unsigned> live_lanes_;
  std::vector<const void*> shown_;
  Barrier block_barrier_;
  const std::function<void()>* body_ = nullptr;
  unsigned live_ = 0, thread_ = 0, progress_ = 0;
};

}  // namespace emulator
