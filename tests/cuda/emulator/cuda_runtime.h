// A stand-in for the CUDA runtime with which g++ compiles .cuh and .cu files for the CPU, so that tests run
// kernels where there is no GPU. Kernels run one block after the other, as soon as they are started. Device
// memory cannot be touched by the host but through copies: it would be a fault here as well.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include <burrow/core/tuple.hpp>

#include "device_functions.hpp"
#include "graph.hpp"

#define BURROW_CUDA_EMULATED 1
#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ static
#define __grid_constant__
#define __forceinline__ inline
#define __noinline__ [[gnu::noinline]]
#define __align__(n) alignas(n)
#define __launch_bounds__(...)

struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice
};
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount,
  cudaDevAttrComputeCapabilityMajor,
  cudaDevAttrComputeCapabilityMinor,
  cudaDevAttrClockRate,
  cudaDevAttrMaxSharedMemoryPerBlockOptin
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;
using cudaEvent_t = struct CUevent_st*;

namespace emulator {

/// The device's memory: one region that is closed while the host runs.
class Memory {
 public:
  static Memory& instance() {
    static Memory memory;
    return memory;
  }

  /// What is in it is NaN, so that reading what nobody wrote shows.
  void* take(std::size_t bytes) {
    const std::size_t rounded = (bytes + 255) / 256 * 256;
    if (used_ + rounded > size) return nullptr;
    void* const data = base_ + used_;
    used_ += rounded;
    const Opened opened;
    std::memset(data, 0xff, rounded);
    return data;
  }

  /// Open during its lifetime.
  struct Opened {
    Opened() { instance().protect(PROT_READ | PROT_WRITE); }
    ~Opened() { instance().protect(PROT_NONE); }
    Opened(const Opened&) = delete;
    Opened& operator=(const Opened&) = delete;
  };

 private:
  static constexpr std::size_t size = std::size_t{8} << 30;

  Memory()
      : base_{static_cast<std::byte*>(
            mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))},
        key_{pkey_alloc(0, PKEY_DISABLE_ACCESS)} {
    if (key_ >= 0 && pkey_mprotect(base_, size, PROT_READ | PROT_WRITE, key_) != 0) key_ = -1;
  }
  /// Where the processor has keys for memory, one of them opens all of it at once.
  void protect(int access) {
    if (key_ >= 0) {
      pkey_set(key_, access == PROT_NONE ? PKEY_DISABLE_ACCESS : 0);
      return;
    }
    const std::size_t page = 4096;
    mprotect(base_, (used_ + page - 1) / page * page, access);
  }

  std::byte* base_;
  int key_;  ///< -1 where there are none
  std::size_t used_ = 0;
};

alignas(128) inline std::byte shared_memory[227 << 10];

/// What the next launch, and the next wait for the stream, report in place of what they do.
inline cudaError_t refused_launch = cudaSuccess, failed_work = cudaSuccess;
/// 1000 major + 10 minor, 0 where there is none.
inline int driver_version = 13000;

/// A kernel to be started, without its types: `call` calls it with a copy of `arguments`.
struct Launch {
  dim3 blocks, threads;
  std::size_t shared_bytes;
  void (*call)(const void* arguments);
  std::vector<std::byte> arguments;

  /// Blocks one after the other; shared memory starts as NaN in each.
  void operator()() const {
    const Memory::Opened opened;
    gridDim = blocks;
    blockDim = threads;
    for (unsigned z = 0; z < blocks.z; ++z)
      for (unsigned y = 0; y < blocks.y; ++y)
        for (unsigned x = 0; x < blocks.x; ++x) {
          blockIdx = {x, y, z};
          std::memset(shared_memory, 0xff, shared_bytes);
          Block::run(threads.x * threads.y * threads.z, [this] { call(arguments.data()); });
        }
  }
};

/// A kernel and its arguments, which a launch copies byte by byte.
template <class... P>
struct KernelCall {
  using Arguments = burrow::detail::Tuple<std::remove_cv_t<P>...>;
  void (*kernel)(P...);
  Arguments arguments;

  static void call(const void* data) {
    const KernelCall own = *static_cast<const KernelCall*>(data);
    burrow::detail::apply(own.kernel, own.arguments);
  }
};

}  // namespace emulator

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  void* attrs = nullptr;
  unsigned numAttrs = 0;
};

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... arguments) {
  if (emulator::refused_launch != cudaSuccess) return std::exchange(emulator::refused_launch, cudaSuccess);
  const dim3 threads = config->blockDim, blocks = config->gridDim;
  if (threads.x * threads.y * threads.z > 1024 || threads.x == 0 || blocks.x == 0 || blocks.y == 0 ||
      blocks.z == 0 || blocks.y > 65535 || blocks.z > 65535 ||
      config->dynamicSmemBytes > sizeof(emulator::shared_memory))
    return cudaErrorInvalidValue;
  using Call = emulator::KernelCall<P...>;
  static_assert(std::is_trivially_copyable_v<Call> && alignof(Call) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  const Call call{kernel, typename Call::Arguments{static_cast<P>(arguments)...}};
  const auto* const bytes = reinterpret_cast<const std::byte*>(&call);
  return emulator::StreamCapture::instance().give(
      emulator::Launch{blocks, threads, config->dynamicSmemBytes, &Call::call, {bytes, bytes + sizeof call}});
}

inline const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaSuccess                         ? "no error"
         : error == cudaErrorInvalidValue             ? "invalid argument"
         : error == cudaErrorStreamCaptureUnsupported ? "operation not permitted when stream is capturing"
                                                      : "error";
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int* version) {
  *version = emulator::driver_version;
  return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount            ? 4
           : attribute == cudaDevAttrComputeCapabilityMajor       ? 9
           : attribute == cudaDevAttrClockRate                    ? 1'000'000
           : attribute == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 227 << 10
                                                                  : 0;
  return cudaSuccess;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = nullptr;
  return cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }

inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
  if (emulator::failed_work != cudaSuccess) return std::exchange(emulator::failed_work, cudaSuccess);
  return emulator::StreamCapture::instance().refuse();
}
inline cudaError_t cudaDeviceSynchronize() { return emulator::StreamCapture::instance().refuse(); }
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = nullptr;
  return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaEventDestroy(cudaEvent_t) { return cudaSuccess; }
inline cudaError_t cudaEventQuery(cudaEvent_t) { return emulator::StreamCapture::instance().refuse(); }
inline cudaError_t cudaEventSynchronize(cudaEvent_t) { return emulator::StreamCapture::instance().refuse(); }
template <class F>
cudaError_t cudaFuncSetAttribute(F, cudaFuncAttribute, int bytes) {
  return bytes <= static_cast<int>(sizeof(emulator::shared_memory)) ? cudaSuccess : cudaErrorInvalidValue;
}
inline cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  if (const auto refused = emulator::StreamCapture::instance().refuse_unless_relaxed();
      refused != cudaSuccess)
    return refused;
  *data = emulator::Memory::instance().take(bytes);
  return *data == nullptr ? cudaErrorMemoryAllocation : cudaSuccess;
}
inline cudaError_t cudaFree(void*) { return emulator::StreamCapture::instance().refuse_unless_relaxed(); }
inline cudaError_t cudaMallocHost(void** data, std::size_t bytes) {
  if (const auto refused = emulator::StreamCapture::instance().refuse_unless_relaxed();
      refused != cudaSuccess)
    return refused;
  *data = std::malloc(bytes);
  const auto* const begin = static_cast<const std::byte*>(*data);
  emulator::pinned.insert({begin, begin + bytes});
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                                   cudaStream_t) {
  auto& capture = emulator::StreamCapture::instance();
  if (capture.graph != nullptr && kind != cudaMemcpyDeviceToDevice &&
      !emulator::is_pinned(kind == cudaMemcpyHostToDevice ? from : to))
    return capture.refuse();
  return capture.give([=] {
    const emulator::Memory::Opened opened;
    std::memmove(to, from, bytes);
  });
}
inline cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t) {
  return emulator::StreamCapture::instance().give([=] {
    const emulator::Memory::Opened opened;
    std::memset(data, value, bytes);
  });
}
