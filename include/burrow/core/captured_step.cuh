// CUDA graphs: a step whose shapes stay the same is recorded once and replayed at the cost of one launch.
// What differs from step to step comes from memory that is written before each replay.
//
//   double rate = 0;
//   cuda::CapturedStep step{[&] {
//     auto [loss, gradient] = value_and_grad(model, [&](Tape& tape) { return mean(model(tape.watch(x))); });
//     optimizer.step(model, gradient, {.learning_rate = live(rate)});
//     return loss;
//   }};
//   for (Index i = 0; i < steps; ++i) {
//     rate = schedule(i);
//     assign(x, batch(i));
//     step();
//   }
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <burrow/core/cuda.cuh>
#include <burrow/core/live.hpp>

namespace burrow::cuda {

/// The memory of captured steps. Steps that share it take turns: what one leaves in it, its result as well,
/// is lost in the next.
class StepMemory {
 public:
  StepMemory() = default;
  StepMemory(const StepMemory&) = delete;
  StepMemory& operator=(const StepMemory&) = delete;
  ~StepMemory() { pool().give_back(blocks_); }

  /// While a step is captured, what it takes from the pool and gives back to it stays here.
  void open() { pool().keep_in(&blocks_); }
  static void close() { pool().keep_in(nullptr); }
  /// A block that is none of these, though it is asked for while they are open: what is written before a
  /// replay would be lost where the replay itself computes.
  Buffer<Cuda> apart(Index bytes) {
    close();
    Buffer<Cuda> block{bytes};
    open();
    return block;
  }

 private:
  static burrow::detail::BlockPool<burrow::detail::CudaMemory>& pool() {
    return burrow::detail::pool_of<Cuda>::get();
  }

  burrow::detail::KeptBlocks blocks_;
};

/// A recorded sequence of work on the device: its graph, the memory that it uses, and the numbers that are
/// written before each replay.
class Capture {
 public:
  explicit Capture(std::shared_ptr<StepMemory> memory) : memory_{std::move(memory)} {}
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  ~Capture() {
    if (graph_ != nullptr) {
      try {
        Context::instance().wait("a replay that may still run");
      } catch (const Error&) {  // of the device, which others will be told of
      }
      cudaGraphExecDestroy(graph_);
    }
  }

  /// Records what f gives to the device, which is not carried out, and returns what it returns.
  template <class F>
  auto record(const F& f) {
    auto& context = Context::instance();
    if (context.capture != nullptr) throw Error("cuda: a captured step inside of another");
    check(cudaStreamBeginCapture(context.stream(), cudaStreamCaptureModeThreadLocal), "a captured step");
    struct Recording {
      Capture& capture;
      Context& context;
      bool ended = false;
      cudaGraph_t end() {
        cudaGraph_t graph = nullptr;
        ended = true;
        context.capture = nullptr;
        StepMemory::close();
        check(cudaStreamEndCapture(context.stream(), &graph), "a captured step");
        return graph;
      }
      ~Recording() {
        if (ended) return;
        context.capture = nullptr;
        StepMemory::close();
        cudaGraph_t graph = nullptr;  // of a step that threw: not used
        if (cudaStreamEndCapture(context.stream(), &graph) == cudaSuccess) cudaGraphDestroy(graph);
        cudaGetLastError();
      }
    } recording{*this, context};
    context.capture = this;
    memory_->open();
    const auto finish = [&] {
      const cudaGraph_t graph = recording.end();
      const cudaError_t status = cudaGraphInstantiate(&graph_, graph, 0);
      cudaGraphDestroy(graph);
      check(status, "a captured step");
    };
    if constexpr (std::is_void_v<decltype(f())>) {
      f();
      finish();
    } else {
      auto result = f();
      finish();
      return result;
    }
  }

  /// Writes what changes, and gives the recorded work to the device.
  void replay() {
    for (const auto& write : writes_) write();
    for (const Chunk& chunk : chunks_)
      Staging::instance().upload(chunk.device.data(), chunk.host.get(), chunk.used);
    auto& context = Context::instance();
    context.check_work(cudaGraphLaunch(graph_, context.stream()), "a captured step");
    context.begins("a captured step");
  }

  /// Where the value of now() will lie in each replay; it is called before each of them, in the order of
  /// these calls.
  template <class Now>
  auto changing(Now now) {
    using T = decltype(now());
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= chunk_bytes);
    constexpr Index bytes = (Index{sizeof(T)} + 15) / 16 * 16;
    if (chunks_.empty() || chunks_.back().used + bytes > chunk_bytes)
      chunks_.push_back({memory_->apart(chunk_bytes), std::make_unique<std::byte[]>(chunk_bytes), 0});
    Chunk& chunk = chunks_.back();
    std::byte* const to = chunk.host.get() + chunk.used;
    const auto* const at = static_cast<const std::byte*>(chunk.device.data()) + chunk.used;
    chunk.used += bytes;
    writes_.push_back([now = std::move(now), to] {
      const T value = now();
      std::memcpy(to, &value, sizeof(T));
    });
    return reinterpret_cast<const T*>(at);
  }
  /// Calls f() on the host before each replay, after the values that were asked for so far.
  void each_time(std::function<void()> f) { writes_.push_back(std::move(f)); }

 private:
  static constexpr Index chunk_bytes = Index{16} << 10;
  struct Chunk {
    Buffer<Cuda> device;
    std::unique_ptr<std::byte[]> host;
    Index used;
  };

  std::shared_ptr<StepMemory> memory_;  // the last to go
  std::vector<Chunk> chunks_;
  std::vector<std::function<void()>> writes_;
  cudaGraphExec_t graph_ = nullptr;
};

/// A step that is captured. The first call runs f as it is, so that what is made once (algorithms of
/// products, the state of optimizers, memory) is there; the second records it; this and every later call
/// replay it: one step for each call, with the bits of f called every time.
///
/// f computes with the same shapes each time, and with tensors and variables that outlive the step and stay
/// where they are. What changes comes from tensors that are assigned to in place (`assign`) and from `live`
/// variables; other numbers stay those of the second call. Inside of f nothing waits for the device or copies
/// from or to the host: such a call throws Error, and so does one that is new on the second call. The result
/// of f lies in memory of the step: read it before the next call, or copy it.
template <class F>
class CapturedStep {
 public:
  using result_type = std::remove_cvref_t<std::invoke_result_t<F&>>;

  /// Steps of which one runs at a time may share their memory.
  explicit CapturedStep(F f, std::shared_ptr<StepMemory> memory = std::make_shared<StepMemory>())
      : f_{std::move(f)}, memory_{std::move(memory)} {}
  CapturedStep(const CapturedStep&) = delete;
  CapturedStep& operator=(const CapturedStep&) = delete;

  /// One step. Returns what f returns, by reference; it changes with the next call.
  const auto& operator()() requires(!std::is_void_v<result_type>) {
    if (!ran_) {
      result_.emplace(f_());
      ran_ = true;
      return *result_;
    }
    if (!capture_) {
      auto capture = std::make_unique<Capture>(memory_);
      auto result = capture->record([this]() -> result_type { return f_(); });
      capture_ = std::move(capture);
      result_.emplace(std::move(result));
    }
    capture_->replay();
    return *result_;
  }
  void operator()() requires(std::is_void_v<result_type>) {
    if (!ran_) {
      f_();
      ran_ = true;
      return;
    }
    if (!capture_) {
      auto capture = std::make_unique<Capture>(memory_);
      capture->record(f_);
      capture_ = std::move(capture);
    }
    capture_->replay();
  }

 private:
  using Kept = std::conditional_t<std::is_void_v<result_type>, bool, result_type>;

  F f_;
  std::shared_ptr<StepMemory> memory_;
  std::unique_ptr<Capture> capture_;
  std::optional<Kept> result_;  // before the capture's blocks go back
  bool ran_ = false;
};

}  // namespace burrow::cuda

namespace burrow::detail {

/// The value of now(): for this launch, or in a captured step for each replay.
template <class Now>
auto given(Cuda, const Now& now) {
  cuda::Capture* const capture = cuda::Context::instance().capture;
  return Given<decltype(now())>{now(), capture == nullptr ? nullptr : capture->changing(now)};
}

/// f() now, or in a captured step before each replay.
inline void each_step(Cuda, std::function<void()> f) {
  if (cuda::Capture* const capture = cuda::Context::instance().capture)
    capture->each_time(std::move(f));
  else
    f();
}

}  // namespace burrow::detail
