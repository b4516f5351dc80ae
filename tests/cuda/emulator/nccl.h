// A stand-in for NCCL: MPI carries what the emulator's devices, one in each process, exchange. Calls of a
// group begin together at its end, as NCCL's do.
#pragma once

#include <mpi.h>

#include <cstring>
#include <functional>
#include <vector>

#include "cuda_runtime.h"

#include <burrow/core/dtype.hpp>

enum ncclResult_t { ncclSuccess, ncclUnhandledCudaError, ncclInvalidArgument = 4, ncclInProgress = 7 };
enum ncclDataType_t {
  ncclUint8,
  ncclInt32,
  ncclUint32,
  ncclInt64,
  ncclUint64,
  ncclFloat16,
  ncclFloat32,
  ncclFloat64,
  ncclBfloat16
};
enum ncclRedOp_t { ncclSum, ncclMax, ncclMin };
struct ncclUniqueId {
  char internal[128];
};
using ncclComm_t = MPI_Comm*;

namespace emulator {

/// Calls f with a null pointer to the element type.
template <class F>
auto with_type(ncclDataType_t type, const F& f) {
  switch (type) {
    case ncclInt32:
      return f(static_cast<std::int32_t*>(nullptr));
    case ncclUint32:
      return f(static_cast<std::uint32_t*>(nullptr));
    case ncclInt64:
      return f(static_cast<std::int64_t*>(nullptr));
    case ncclUint64:
      return f(static_cast<std::uint64_t*>(nullptr));
    case ncclFloat16:
      return f(static_cast<burrow::half*>(nullptr));
    case ncclFloat32:
      return f(static_cast<float*>(nullptr));
    case ncclFloat64:
      return f(static_cast<double*>(nullptr));
    case ncclBfloat16:
      return f(static_cast<burrow::bf16*>(nullptr));
    default:
      return f(static_cast<std::uint8_t*>(nullptr));
  }
}
inline int bytes_of(ncclDataType_t type, std::size_t count) {
  return static_cast<int>(count * with_type(type, [](auto* p) { return sizeof(*p); }));
}

/// The calls of the group that is open.
struct NcclCalls {
  int depth = 0;
  std::vector<std::function<void(std::vector<MPI_Request>&)>> waiting;

  static NcclCalls& instance() {
    static NcclCalls calls;
    return calls;
  }
  ncclResult_t add(std::function<void(std::vector<MPI_Request>&)> call) {
    waiting.push_back(std::move(call));
    return depth > 0 ? ncclSuccess : finish();
  }
  /// Carries out what waits, or records it.
  ncclResult_t finish() {
    const auto status = StreamCapture::instance().give([calls = std::exchange(waiting, {})] {
      const Memory::Opened opened;
      std::vector<MPI_Request> requests;
      for (const auto& call : calls) call(requests);
      MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
    });
    return status == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
  }
};

/// The reduction of all ranks' values, as doubles.
inline std::vector<double> reduced(const void* from, std::size_t count, ncclDataType_t type, ncclRedOp_t by,
                                   MPI_Comm ranks) {
  std::vector<double> values(count);
  with_type(type, [&](auto* p) {
    for (std::size_t i = 0; i < count; ++i)
      values[i] = static_cast<double>(static_cast<const std::remove_pointer_t<decltype(p)>*>(from)[i]);
  });
  const MPI_Op operation = by == ncclSum ? MPI_SUM : by == ncclMax ? MPI_MAX : MPI_MIN;
  MPI_Allreduce(MPI_IN_PLACE, values.data(), static_cast<int>(count), MPI_DOUBLE, operation, ranks);
  return values;
}
inline void write(const double* values, void* to, std::size_t count, ncclDataType_t type) {
  with_type(type, [&](auto* p) {
    using T = std::remove_pointer_t<decltype(p)>;
    for (std::size_t i = 0; i < count; ++i) {
      if constexpr (burrow::Narrow<T>)
        static_cast<T*>(to)[i] = T(static_cast<float>(values[i]));
      else
        static_cast<T*>(to)[i] = static_cast<T>(values[i]);
    }
  });
}

}  // namespace emulator

inline const char* ncclGetErrorString(ncclResult_t) { return "an error of the emulator"; }
inline ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = {};
  return ncclSuccess;
}
inline ncclResult_t ncclCommInitRank(ncclComm_t* made, int ranks, ncclUniqueId, int rank) {
  *made = new MPI_Comm;
  MPI_Comm_split(ranks == 1 ? MPI_COMM_SELF : MPI_COMM_WORLD, 0, rank, *made);
  return ncclSuccess;
}
inline ncclResult_t ncclCommSplit(ncclComm_t whole, int color, int key, ncclComm_t* part, const void*) {
  *part = new MPI_Comm;
  MPI_Comm_split(*whole, color, key, *part);
  return ncclSuccess;
}
inline ncclResult_t ncclCommDestroy(ncclComm_t ranks) {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized == 0) MPI_Comm_free(ranks);
  delete ranks;
  return ncclSuccess;
}
inline ncclResult_t ncclCommUserRank(ncclComm_t ranks, int* rank) {
  MPI_Comm_rank(*ranks, rank);
  return ncclSuccess;
}
inline ncclResult_t ncclCommCount(ncclComm_t ranks, int* count) {
  MPI_Comm_size(*ranks, count);
  return ncclSuccess;
}
inline ncclResult_t ncclGroupStart() {
  ++emulator::NcclCalls::instance().depth;
  return ncclSuccess;
}
inline ncclResult_t ncclGroupEnd() {
  auto& calls = emulator::NcclCalls::instance();
  return --calls.depth == 0 ? calls.finish() : ncclSuccess;
}

inline ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                                  ncclRedOp_t by, ncclComm_t ranks, cudaStream_t) {
  return emulator::NcclCalls::instance().add([=](auto&) {
    emulator::write(emulator::reduced(from, count, type, by, *ranks).data(), to, count, type);
  });
}
inline ncclResult_t ncclReduceScatter(const void* from, void* to, std::size_t count, ncclDataType_t type,
                                      ncclRedOp_t by, ncclComm_t ranks, cudaStream_t) {
  return emulator::NcclCalls::instance().add([=](auto&) {
    int rank = 0, size = 0;
    MPI_Comm_rank(*ranks, &rank);
    MPI_Comm_size(*ranks, &size);
    const auto sums = emulator::reduced(from, count * static_cast<std::size_t>(size), type, by, *ranks);
    emulator::write(sums.data() + count * static_cast<std::size_t>(rank), to, count, type);
  });
}
inline ncclResult_t ncclReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                               ncclRedOp_t by, int root, ncclComm_t ranks, cudaStream_t) {
  return emulator::NcclCalls::instance().add([=](auto&) {
    int rank = 0;
    MPI_Comm_rank(*ranks, &rank);
    const auto sums = emulator::reduced(from, count, type, by, *ranks);
    if (rank == root) emulator::write(sums.data(), to, count, type);
  });
}
inline ncclResult_t ncclAllGather(const void* from, void* to, std::size_t count, ncclDataType_t type,
                                  ncclComm_t ranks, cudaStream_t) {
  return emulator::NcclCalls::instance().add([=](auto&) {
    const int bytes = emulator::bytes_of(type, count);
    const std::vector<char> own(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
    MPI_Allgather(own.data(), bytes, MPI_BYTE, to, bytes, MPI_BYTE, *ranks);
  });
}
inline ncclResult_t ncclBroadcast(const void* from, void* to, std::size_t count, ncclDataType_t type,
                                  int root, ncclComm_t ranks, cudaStream_t) {
  return emulator::NcclCalls::instance().add([=](auto&) {
    int rank = 0;
    MPI_Comm_rank(*ranks, &rank);
    const int bytes = emulator::bytes_of(type, count);
    if (rank == root && from != to) std::memmove(to, from, static_cast<std::size_t>(bytes));
    MPI_Bcast(to, bytes, MPI_BYTE, root, *ranks);
  });
}
inline ncclResult_t ncclSend(const void* from, std::size_t count, ncclDataType_t type, int to,
                             ncclComm_t ranks, cudaStream_t) {
  return emulator::NcclCalls::instance().add([=](auto& requests) {
    requests.emplace_back();
    MPI_Isend(from, emulator::bytes_of(type, count), MPI_BYTE, to, 0, *ranks, &requests.back());
  });
}
inline ncclResult_t ncclRecv(void* to, std::size_t count, ncclDataType_t type, int from, ncclComm_t ranks,
                             cudaStream_t) {
  return emulator::NcclCalls::instance().add([=](auto& requests) {
    requests.emplace_back();
    MPI_Irecv(to, emulator::bytes_of(type, count), MPI_BYTE, from, 0, *ranks, &requests.back());
  });
}
