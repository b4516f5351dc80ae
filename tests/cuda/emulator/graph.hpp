// Streams that are captured: what would run is recorded, with copies of its arguments, and runs in every
// launch of the graph. What a capture forbids fails here with the real error codes.
#pragma once

#include <functional>
#include <set>
#include <utility>
#include <vector>

enum cudaError_t {
  cudaSuccess,
  cudaErrorInvalidValue,
  cudaErrorMemoryAllocation,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorNotReady = 600,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureInvalidated = 901,
  cudaErrorStreamCaptureUnmatched = 903
};
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal,
  cudaStreamCaptureModeThreadLocal,
  cudaStreamCaptureModeRelaxed
};

namespace emulator {

struct Graph {
  std::vector<std::function<void()>> nodes;
};

/// The capture of the only stream.
struct StreamCapture {
  Graph* graph = nullptr;
  bool invalid = false;
  cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

  static StreamCapture& instance() {
    static StreamCapture capture;
    return capture;
  }

  /// Runs work of the stream, or records it.
  template <class Work>
  cudaError_t give(const Work& work) {
    if (graph == nullptr) {
      work();
      return cudaSuccess;
    }
    if (invalid) return cudaErrorStreamCaptureInvalidated;
    graph->nodes.push_back(work);
    return cudaSuccess;
  }
  /// For calls that would wait for the stream.
  cudaError_t refuse() {
    if (graph == nullptr) return cudaSuccess;
    invalid = true;
    return cudaErrorStreamCaptureUnsupported;
  }
  /// For calls that may do so, which a thread can allow itself.
  cudaError_t refuse_unless_relaxed() {
    return thread_mode == cudaStreamCaptureModeRelaxed ? cudaSuccess : refuse();
  }
};

/// Host memory that the device may read at any later time.
inline std::set<std::pair<const std::byte*, const std::byte*>> pinned;
inline bool is_pinned(const void* data) {
  const auto* const at = static_cast<const std::byte*>(data);
  for (const auto& [begin, end] : pinned)
    if (at >= begin && at < end) return true;
  return false;
}

}  // namespace emulator

using cudaStream_t = struct CUstream_st*;
using cudaGraph_t = emulator::Graph*;
using cudaGraphExec_t = emulator::Graph*;

inline cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  auto& capture = emulator::StreamCapture::instance();
  if (capture.graph != nullptr) return cudaErrorStreamCaptureUnsupported;
  capture.graph = new emulator::Graph;
  capture.invalid = false;
  return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  auto& capture = emulator::StreamCapture::instance();
  if (capture.graph == nullptr) return cudaErrorStreamCaptureUnmatched;
  *graph = std::exchange(capture.graph, nullptr);
  if (!capture.invalid) return cudaSuccess;
  delete *graph;
  *graph = nullptr;
  return cudaErrorStreamCaptureInvalidated;
}
inline cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(emulator::StreamCapture::instance().thread_mode, *mode);
  return cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new emulator::Graph{*graph};
  return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
  return emulator::StreamCapture::instance().give([nodes = executable->nodes] {
    for (const auto& node : nodes) node();
  });
}
