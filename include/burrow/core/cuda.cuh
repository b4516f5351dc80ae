// A CUDA device at work: its stream, launches of kernels, memory from a pool, copies between host and device.
// All work of a process goes to one stream, so memory that returns to the pool can be used again at once.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstring>
#include <new>
#include <string>
#include <type_traits>

#include <burrow/core/launch.hpp>
#include <burrow/core/memory.hpp>
#include <burrow/core/shared_memory.cuh>

namespace burrow {

namespace cuda {

/// Throws Error, which names what failed, for every status but success.
inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // a launch that failed is not reported again by the next
  throw Error(std::string{"cuda: "} + what + ": " + cudaGetErrorString(status));
}

/// What a kernel found wrong with its operands, in memory that host and device share: raise(details) throws
/// the exception on the host. The first one stays until the host has waited.
struct Fault {
  static constexpr std::size_t most_bytes = 256;
  void (*raise)(const void* details) = nullptr;
  alignas(16) std::byte details[most_bytes];

  /// Called by one thread of a kernel.
  template <class Details>
  __device__ void report(void (*throws)(const void*), const Details& found) {
    static_assert(std::is_trivially_copyable_v<Details> && sizeof(Details) <= most_bytes);
    if (raise != nullptr) return;
    *reinterpret_cast<Details*>(details) = found;
    raise = throws;
  }
};

/// Why no device can be used, for a status of cudaGetDeviceCount.
[[gnu::cold]] inline std::string why_no_device(cudaError_t status) {
  if (status == cudaSuccess) return "none was found";
  int driver = 0, runtime = 0;
  if (status != cudaErrorInsufficientDriver || cudaDriverGetVersion(&driver) != cudaSuccess ||
      cudaRuntimeGetVersion(&runtime) != cudaSuccess)
    return cudaGetErrorString(status);
  if (driver == 0) return "there is no driver for one";
  const auto version = [](int number) {  // 1000 major + 10 minor
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
  };
  return "its driver is one of CUDA " + version(driver) + ", and this program needs " + version(runtime);
}

class Capture;

/// The device of this process and the stream that all its work goes to.
class Context {
 public:
  /// Throws NoDeviceError where there is no GPU.
  static Context& instance() {
    static Context* const context = new Context;  // outlives every static tensor
    return *context;
  }

  cudaStream_t stream() const { return stream_; }
  int device() const { return device_; }
  int multiprocessors() const { return multiprocessors_; }
  /// Compute capability as one number: 90 for 9.0.
  int capability() const { return capability_; }
  /// How many kernels were started.
  Index launches() const { return launches_; }
  void count_launch(const char* name) {
    ++launches_;
    begins(name);
  }
  /// What goes to the stream now; errors name the last of these. The name outlives the process's work.
  void begins(const char* name) { started_[started_count_++ % started_.size()] = name; }

  /// Throws Error for every status but success of what waits for the stream or adds to it: it may be that of
  /// anything that was started before.
  void check_work(cudaError_t status, const char* what) const {
    if (status != cudaSuccess) fail(status, what);
  }
  [[noreturn, gnu::cold, gnu::noinline]] void fail(cudaError_t status, std::string text) const {
    cudaGetLastError();
    text = "cuda: " + text + ": " + cudaGetErrorString(status);
    const std::size_t count = std::min(started_count_, started_.size());
    for (std::size_t i = 1; i <= count; ++i)
      text += (i == 1 ? "; started last: " : ", ") +
              std::string{started_[(started_count_ - i) % started_.size()]};
    if (count > 0) text += " (with CUDA_LAUNCH_BLOCKING=1 the one that failed throws)";
    throw Error(text);
  }

  /// Waits until all work has been done, and throws what kernels found wrong with their operands. Every wait
  /// is counted; a training step should need none but that for its loss.
  void synchronize(const char* what) {
    wait(what);
    if (fault_->raise == nullptr) return;
    const Fault found = *fault_;
    fault_->raise = nullptr;
    found.raise(found.details);
  }
  /// The same without a look at what was found.
  void wait(const char* what) {
    refuse_in_capture(what, "the host cannot wait for the device");
    ++synchronizations_;
    check_work(cudaStreamSynchronize(stream_), what);
  }
  /// Waits for an event, which counts where it has not come yet.
  void wait(cudaEvent_t event, const char* what) {
    const cudaError_t status = cudaEventQuery(event);
    if (status == cudaSuccess) return;
    if (status != cudaErrorNotReady) check_work(status, what);
    ++synchronizations_;
    check_work(cudaEventSynchronize(event), what);
  }
  /// Waits until another stream has done its work, where nothing can be done about its errors.
  void drain(cudaStream_t stream) noexcept {
    ++synchronizations_;
    cudaStreamSynchronize(stream);
  }
  Index synchronizations() const { return synchronizations_; }

  /// Where kernels report what is wrong with their operands.
  Fault* fault() const { return fault_; }
  /// Whether each check of operands waits for its result.
  bool checks_at_once = false;

  /// The capture that work goes to; null where it is carried out.
  Capture* capture = nullptr;
  /// Throws Error where a step is being captured, for a reason why that cannot be part of it.
  void refuse_in_capture(const char* what, const char* reason) const {
    if (capture != nullptr)
      throw Error(std::string{"cuda: "} + what + " in a step that is captured: " + reason +
                  "; do it before or after the step");
  }

 private:
  Context() {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0) {
      cudaGetLastError();
      throw NoDeviceError("cuda: no GPU can be used here (" + why_no_device(status) +
                          "); run on the CPU instead, with device Cpu or --device cpu");
    }
    check(cudaGetDevice(&device_), "the current device");
    check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device_), "attributes");
    int major = 0, minor = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device_), "attributes");
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device_), "attributes");
    capability_ = 10 * major + minor;
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "the stream");
    void* memory = nullptr;
    check(cudaMallocHost(&memory, sizeof(Fault)), "pinned memory");
    fault_ = new (memory) Fault;
  }

  Index launches_ = 0;
  std::array<const char*, 4> started_{};
  std::size_t started_count_ = 0;
  cudaStream_t stream_ = nullptr;
  int device_ = 0, multiprocessors_ = 0, capability_ = 0;
  Fault* fault_ = nullptr;
  Index synchronizations_ = 0;
};

/// How many kernels of the library, not of cuBLASLt, this process has started.
inline Index launches() { return Context::instance().launches(); }

/// True where a GPU and its driver can be used.
inline bool available() {
  int count = 0;
  const bool found = cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
  cudaGetLastError();
  return found;
}

/// Makes the GPU of that number the one of this process, counted around those that it sees, so that processes
/// of one machine, numbered from 0, have one each. To be called before anything else is done on a GPU.
inline void use_device(int number) {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess && count > 0)
    check(cudaSetDevice(number % count), "to choose a device");
}

/// Waits until the device has done all work. Throws what it found wrong with operands: ids and targets out of
/// range.
inline void synchronize() { Context::instance().synchronize("work on the device"); }
/// How often the host has waited for the device so far.
inline Index synchronizations() { return Context::instance().synchronizations(); }

/// Whether the host waits for the result of each check of ids and targets, so that an error is thrown by the
/// operation that it belongs to. Off by default: then the next wait throws it.
inline void check_at_once(bool wanted) { Context::instance().checks_at_once = wanted; }

[[noreturn]] inline void refuse_shared_memory(const char* name, unsigned bytes) {
  cudaGetLastError();
  throw Error(std::string{"cuda: "} + name + ": a block of threads needs " + std::to_string(bytes >> 10) +
              " KiB of shared memory, more than this device has");
}

[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_launch(cudaError_t status, const char* name,
                                                                 const Grid& grid) {
  const Context& context = Context::instance();
  if (status == cudaErrorNoKernelImageForDevice)
    throw NoDeviceError(
        "cuda: this program has no code for a GPU of compute capability " +
        std::to_string(context.capability() / 10) + "." + std::to_string(context.capability() % 10) +
        " (8.0 is the oldest; CMAKE_CUDA_ARCHITECTURES says for which it is compiled); run on "
        "the CPU instead, with device Cpu or --device cpu");
  context.fail(status, std::string{name} + ", " + std::to_string(grid.x) + " x " + std::to_string(grid.y) +
                           " blocks of " + std::to_string(grid.threads) + " threads");
}

/// Starts a kernel for the operation `name`, a literal, on the stream. Throws Error, with the grid, where the
/// launch is refused.
template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), const Grid& grid,
            const Arguments&... arguments) {
  constexpr unsigned usual_shared_bytes = 48 << 10;
  if (grid.shared_bytes > usual_shared_bytes) {
    const cudaError_t allowed = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                                     cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                     static_cast<int>(grid.shared_bytes));
    if (allowed == cudaErrorInvalidValue) refuse_shared_memory(name, grid.shared_bytes);
    if (allowed != cudaSuccess) refuse_launch(allowed, name, grid);
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3{grid.x, grid.y, grid.z};
  config.blockDim = dim3{grid.threads};
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = Context::instance().stream();
  const cudaError_t status = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  if (status != cudaSuccess) refuse_launch(status, name, grid);
  Context::instance().count_launch(name);
}

/// Copies between host and device in pieces through pinned memory, so that the host's side may be any. Many
/// small copies can be on their way at once: the host need not wait for the work between them.
class Staging {
 public:
  static Staging& instance() {
    static Staging* const staging = new Staging;
    return *staging;
  }

  /// Returns when `from` may be written again; the copy goes on, in the order of the stream.
  void upload(void* to, const void* from, Index bytes) {
    Context::instance().refuse_in_capture("a copy to the device", "every replay would copy other values");
    pieces(bytes, [&](Piece& piece, Index begin, std::size_t count) {
      Context::instance().wait(piece.free, "a copy to the device");
      std::memcpy(piece.memory, static_cast<const std::byte*>(from) + begin, count);
      check(cudaMemcpyAsync(static_cast<std::byte*>(to) + begin, piece.memory, count, cudaMemcpyHostToDevice,
                            stream()),
            "a copy to the device");
      check(cudaEventRecord(piece.free, stream()), "a copy to the device");
    });
  }
  /// Waits for the device's work before it and for the copy.
  void download(void* to, const void* from, Index bytes) {
    Context::instance().refuse_in_capture("a copy from the device", "the host cannot wait for the device");
    pieces(bytes, [&](Piece& piece, Index begin, std::size_t count) {
      check(cudaMemcpyAsync(piece.memory, static_cast<const std::byte*>(from) + begin, count,
                            cudaMemcpyDeviceToHost, stream()),
            "a copy from the device");
      Context::instance().synchronize("a copy from the device");
      std::memcpy(static_cast<std::byte*>(to) + begin, piece.memory, count);
    });
  }

 private:
  struct Piece {
    void* memory = nullptr;
    cudaEvent_t free = nullptr;
  };
  static constexpr std::size_t large_bytes = std::size_t{4} << 20, small_bytes = std::size_t{64} << 10;

  template <std::size_t Count>
  struct Ring {
    std::array<Piece, Count> pieces;
    std::size_t next = 0;

    explicit Ring(std::size_t bytes) {
      for (Piece& piece : pieces) {
        check(cudaMallocHost(&piece.memory, bytes), "pinned memory");
        check(cudaEventCreateWithFlags(&piece.free, cudaEventDisableTiming), "an event");
      }
    }
    Piece& take() { return pieces[std::exchange(next, (next + 1) % Count)]; }
  };

  Staging() = default;
  static cudaStream_t stream() { return Context::instance().stream(); }

  template <class Copy>
  void pieces(Index bytes, const Copy& copy) {
    const auto total = static_cast<std::size_t>(bytes);
    if (total <= small_bytes && total > 0) return copy(small_.take(), 0, total);
    for (std::size_t begin = 0; begin < total; begin += large_bytes)
      copy(large_.take(), static_cast<Index>(begin), std::min(large_bytes, total - begin));
  }

  Ring<2> large_{large_bytes};
  Ring<64> small_{small_bytes};
};

}  // namespace cuda

namespace detail {

/// Where the device's blocks come from.
struct CudaMemory {
  static constexpr const char* owner = "the CUDA device";

  static void* take(Index bytes) {
    cuda::Context::instance();
    void* data = nullptr;
    cudaStreamCaptureMode mode =
        cudaStreamCaptureModeRelaxed;  // memory may be taken while a step is captured
    cudaThreadExchangeStreamCaptureMode(&mode);
    const cudaError_t status = cudaMalloc(&data, static_cast<std::size_t>(bytes));
    cudaThreadExchangeStreamCaptureMode(&mode);
    if (status == cudaSuccess) return data;
    cudaGetLastError();
    return nullptr;
  }
  static void give_back(void* data) {
    cuda::Context::instance().wait("memory given back");
    cudaFree(data);
  }
  /// Not while a step is captured: the host would have to wait.
  static bool may_give_back() { return cuda::Context::instance().capture == nullptr; }
};

template <>
struct pool_of<Cuda> {
  static BlockPool<CudaMemory>& get() { return BlockPool<CudaMemory>::instance(); }
};

/// Zero bytes, in the order of the stream.
inline void fill_zero(Cuda, void* data, Index bytes) {
  cuda::check(cudaMemsetAsync(data, 0, static_cast<std::size_t>(bytes), cuda::Context::instance().stream()),
              "zeros");
}
/// A copy between arrays that do not overlap, in the order of the stream.
inline void copy_bytes(Cuda, Cuda, void* to, const void* from, Index bytes) {
  cuda::check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice,
                              cuda::Context::instance().stream()),
              "a copy on the device");
}
inline void copy_bytes(Cpu, Cuda, void* to, const void* from, Index bytes) {
  cuda::Staging::instance().upload(to, from, bytes);
}
inline void copy_bytes(Cuda, Cpu, void* to, const void* from, Index bytes) {
  cuda::Staging::instance().download(to, from, bytes);
}

}  // namespace detail
}  // namespace burrow
