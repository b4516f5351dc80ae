// NcclCommunicator: GPUs that exchange through NCCL, one to each process. Spans are of the device's memory.
// Needs burrow::nccl; the processes meet by any other communicator.
//
//   const NcclCommunicator gpus{distributed::init(argc, argv)};
//   const auto mesh = Mesh{gpus, {.data = 8}};
//
// Exchanges in the device's memory can be part of a captured step, on all ranks or on none: the group's
// stream joins the capture when an exchange begins, and the exchange's `wait`, which the step must reach,
// leads back.
#pragma once

#include <nccl.h>

#include <memory>
#include <string>

#include <burrow/core/captured_step.cuh>
#include <burrow/distributed/communicator.hpp>

namespace burrow {

namespace detail {

inline void check_nccl(ncclResult_t code, const char* what, Location where) {
  if (code == ncclSuccess || code == ncclInProgress) return;
  throw Error(std::string(what) + ": NCCL says " + ncclGetErrorString(code) + at(where));
}

template <class T>
constexpr ncclDataType_t nccl_type() {
  if constexpr (std::same_as<T, float>)
    return ncclFloat32;
  else if constexpr (std::same_as<T, double>)
    return ncclFloat64;
  else if constexpr (std::same_as<T, bf16>)
    return ncclBfloat16;
  else if constexpr (std::same_as<T, half>)
    return ncclFloat16;
  else if constexpr (sizeof(T) == 8)
    return std::is_signed_v<T> ? ncclInt64 : ncclUint64;
  else if constexpr (sizeof(T) == 4)
    return std::is_signed_v<T> ? ncclInt32 : ncclUint32;
  else
    return ncclUint8;
}

constexpr ncclRedOp_t nccl_operation(Reduction by) {
  return by == Reduction::sum ? ncclSum : by == Reduction::max ? ncclMax : ncclMin;
}

/// A communicator of NCCL with the stream that its exchanges go to, beside the one that computes.
class NcclGroup {
 public:
  NcclGroup(ncclComm_t communicator, Location where) : communicator_{communicator} {
    check_nccl(ncclCommUserRank(communicator_, &rank_), "nccl: the rank", where);
    check_nccl(ncclCommCount(communicator_, &size_), "nccl: the number of ranks", where);
    cuda::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "nccl: a stream");
    cuda::check(cudaEventCreateWithFlags(&computed_, cudaEventDisableTiming), "nccl: an event");
  }
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  ~NcclGroup() {
    cuda::Context::instance().drain(stream_);
    ncclCommDestroy(communicator_);
    cudaEventDestroy(computed_);
    cudaStreamDestroy(stream_);
  }

  int rank() const { return rank_; }
  int size() const { return size_; }
  ncclComm_t communicator() const { return communicator_; }
  cudaStream_t stream() const { return stream_; }

  /// Exchanges that follow see what has been computed so far.
  void follow_computation() {
    cuda::check(cudaEventRecord(computed_, cuda::Context::instance().stream()), "nccl: an event");
    cuda::check(cudaStreamWaitEvent(stream_, computed_, 0), "nccl: a wait on the device");
  }
  void count(Collective kind, Index messages, Index bytes) {
    Traffic::Count& count = traffic[kind];
    count = {count.calls + 1, count.messages + messages, count.bytes + bytes};
  }

  Traffic traffic;

 private:
  ncclComm_t communicator_;
  int rank_ = 0, size_ = 1;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t computed_ = nullptr;
};

/// An exchange in the group's stream. To wait for it is to let what is computed afterwards wait for it on the
/// device; the host goes on.
class NcclWork final : public Pending::Work {
 public:
  explicit NcclWork(std::shared_ptr<NcclGroup> group) : group_{std::move(group)} {
    cuda::check(cudaEventCreateWithFlags(&done_, cudaEventDisableTiming), "nccl: an event");
    cuda::check(cudaEventRecord(done_, group_->stream()), "nccl: an event");
  }
  ~NcclWork() override { cudaEventDestroy(done_); }
  /// Whether it is done; never while a step is captured, in which nobody can look.
  bool advance() override {
    if (cuda::Context::instance().capture != nullptr) return false;
    const cudaError_t status = cudaEventQuery(done_);
    if (status == cudaErrorNotReady) return false;
    cuda::check(status, "nccl: an exchange");
    return true;
  }
  void wait() override {
    cuda::check(cudaStreamWaitEvent(cuda::Context::instance().stream(), done_, 0),
                "nccl: a wait on the device");
  }

 private:
  std::shared_ptr<NcclGroup> group_;
  cudaEvent_t done_ = nullptr;
};

}  // namespace detail

/// The ranks' GPUs; a cheap handle, copies mean the same group. Sums are NCCL's: of half and bf16 they are
/// rounded on the way, and their order is fixed by NCCL's choice of algorithm for a size and a machine, not
/// by the ranks' numbers. Each process has a GPU of its own: see `cuda::use_device`.
class NcclCommunicator : public WaitingCalls<NcclCommunicator> {
 public:
  /// A group of this process's GPU alone; nothing of NCCL is used.
  NcclCommunicator() = default;

  /// All ranks of `meeting`, by which they exchange NCCL's id, call it. Throws NoDeviceError where a rank has
  /// no GPU, Error where NCCL cannot connect them.
  template <class C>
  requires(!std::same_as<C, NcclCommunicator>) && Communicator<C> explicit NcclCommunicator(
                                                      const C& meeting, Location where = Location::here()) {
    cuda::Context::instance();
    ncclUniqueId id{};
    if (meeting.rank() == 0) detail::check_nccl(ncclGetUniqueId(&id), "nccl: the id of a group", where);
    std::array<std::int32_t, sizeof(id) / sizeof(std::int32_t)> words;
    std::memcpy(words.data(), &id, sizeof(id));
    meeting.broadcast(std::span<std::int32_t>{words}, 0, where);
    std::memcpy(&id, words.data(), sizeof(id));
    ncclComm_t communicator = nullptr;
    detail::check_nccl(ncclCommInitRank(&communicator, meeting.size(), id, meeting.rank()),
                       "nccl: to connect the ranks, each of which needs a GPU of its own", where);
    group_ = std::make_shared<detail::NcclGroup>(communicator, where);
  }

  int rank() const { return group_ ? group_->rank() : 0; }
  int size() const { return group_ ? group_->size() : 1; }

  using WaitingCalls::all_reduce;
  /// The reduction of one number of the host from each rank; the host waits for it.
  template <Reducible T>
  T all_reduce(T value, Reduction by = Reduction::sum, Location where = Location::here()) const {
    if (!group_) return value;
    const Buffer<Cuda> number{Index{sizeof(T)}};
    detail::copy_bytes(Cpu{}, Cuda{}, number.data(), &value, Index{sizeof(T)});
    all_reduce(std::span<T>{static_cast<T*>(number.data()), 1}, by, where);
    detail::copy_bytes(Cuda{}, Cpu{}, &value, number.data(), Index{sizeof(T)});
    return value;
  }

  /// Begins to make every rank's values the reduction of all ranks' values.
  template <Reducible T>
  Pending start_all_reduce(std::span<T> values, Reduction by = Reduction::sum,
                           Location where = Location::here()) const {
    if (!group_) return {};
    return start(Collective::all_reduce, 2 * shared(bytes_of(values)), where, [&] {
      return ncclAllReduce(values.data(), values.data(), values.size(), detail::nccl_type<T>(),
                           detail::nccl_operation(by), group_->communicator(), group_->stream());
    });
  }

  /// Begins to make `own` this rank's part of the reduction of all ranks' values.
  template <Reducible T>
  Pending start_reduce_scatter(std::type_identity_t<std::span<const T>> values, std::span<T> own,
                               const Partition& partition, Reduction by = Reduction::sum,
                               Location where = Location::here()) const {
    detail::check_parts("reduce_scatter", own.size(), values.size(), partition, rank(), size(), where);
    if (!group_) return copy(values, own);
    return start(Collective::reduce_scatter, bytes_of(values) - bytes_of(own), where, [&] {
      if (even(partition))
        return ncclReduceScatter(values.data(), own.data(), own.size(), detail::nccl_type<T>(),
                                 detail::nccl_operation(by), group_->communicator(), group_->stream());
      return for_each_part(partition, [&](int r, std::size_t begin, std::size_t count) {
        return ncclReduce(values.data() + begin, own.data(), count, detail::nccl_type<T>(),
                          detail::nccl_operation(by), r, group_->communicator(), group_->stream());
      });
    });
  }

  /// Begins to make `values` the parts of all ranks.
  template <Communicable T>
  Pending start_all_gather(std::type_identity_t<std::span<const T>> own, std::span<T> values,
                           const Partition& partition, Location where = Location::here()) const {
    detail::check_parts("all_gather", own.size(), values.size(), partition, rank(), size(), where);
    if (!group_) return copy(own, values);
    return start(Collective::all_gather, bytes_of(own) * (size() - 1), where, [&] {
      if (even(partition))
        return ncclAllGather(own.data(), values.data(), own.size(), detail::nccl_type<T>(),
                             group_->communicator(), group_->stream());
      return for_each_part(partition, [&](int r, std::size_t begin, std::size_t count) {
        return ncclBroadcast(own.data(), values.data() + begin, count, detail::nccl_type<T>(), r,
                             group_->communicator(), group_->stream());
      });
    });
  }

  /// Begins to make every rank's values those of `root`.
  template <Communicable T>
  Pending start_broadcast(std::span<T> values, int root = 0, Location where = Location::here()) const {
    detail::check_rank("broadcast", root, size(), where);
    if (!group_) return {};
    return start(Collective::broadcast, (root + size() - 1) % size() == rank() ? 0 : bytes_of(values), where,
                 [&] {
                   return ncclBroadcast(values.data(), values.data(), values.size(), detail::nccl_type<T>(),
                                        root, group_->communicator(), group_->stream());
                 });
  }

  /// Begins to send block r of `sent` to rank r, and to receive its block. Throws ShapeError where blocks are
  /// not equal.
  template <Communicable T>
  Pending start_all_to_all(std::type_identity_t<std::span<const T>> sent, std::span<T> received,
                           Location where = Location::here()) const {
    detail::check_blocks(sent.size(), received.size(), size(), where);
    if (!group_) return copy(sent, received);
    const auto ranks = static_cast<std::size_t>(size());
    const std::size_t block = sent.size() / ranks;
    return start(Collective::all_to_all, shared(bytes_of(sent)), where, [&] {
      return grouped([&] {
        ncclResult_t result = ncclSuccess;
        for (std::size_t r = 0; r < ranks && result == ncclSuccess; ++r) {
          const int peer = static_cast<int>(r);
          result = ncclSend(sent.data() + r * block, block, detail::nccl_type<T>(), peer,
                            group_->communicator(), group_->stream());
          if (result == ncclSuccess)
            result = ncclRecv(received.data() + r * block, block, detail::nccl_type<T>(), peer,
                              group_->communicator(), group_->stream());
        }
        return result;
      });
    });
  }

  /// Begins to send values to rank `to`. Throws ValueError where that is this rank or none of the group.
  template <class T>
  requires Communicable<std::remove_const_t<T>> Pending start_send(std::span<T> values, int to,
                                                                   Location where = Location::here())
  const {
    detail::check_peer("send", to, rank(), size(), where);
    return start(Collective::point_to_point, bytes_of(values), where, [&] {
      return ncclSend(values.data(), values.size(), detail::nccl_type<std::remove_const_t<T>>(), to,
                      group_->communicator(), group_->stream());
    });
  }
  /// Begins to receive what rank `from` sends. Throws ValueError as `start_send` does.
  template <Communicable T>
  Pending start_receive(std::span<T> values, int from, Location where = Location::here()) const {
    detail::check_peer("receive", from, rank(), size(), where);
    return start(Collective::point_to_point, 0, where, [&] {
      return ncclRecv(values.data(), values.size(), detail::nccl_type<T>(), from, group_->communicator(),
                      group_->stream());
    });
  }

  /// Returns when all ranks have called it and this one's device has done its work.
  void barrier(Location where = Location::here()) const {
    if (!group_) return cuda::synchronize();
    all_reduce(std::int32_t{0}, Reduction::sum, where);
  }

  /// The group of the ranks that give the same `color`, ordered by `key` and then by rank. All ranks call it.
  NcclCommunicator split(int color, int key) const {
    if (!group_) return *this;
    const Location where = Location::here();
    ncclComm_t part = nullptr;
    detail::check_nccl(ncclCommSplit(group_->communicator(), color, key, &part, nullptr), "nccl: to split",
                       where);
    return NcclCommunicator{std::make_shared<detail::NcclGroup>(part, where)};
  }

  /// What this rank has sent to this group, as rings send it: the bytes of the elements, without NCCL's own.
  Traffic traffic() const { return group_ ? group_->traffic : Traffic{}; }
  void reset_traffic() const {
    if (group_) group_->traffic = {};
  }

 private:
  explicit NcclCommunicator(std::shared_ptr<detail::NcclGroup> group) : group_{std::move(group)} {}

  template <class T>
  static Index bytes_of(std::span<T> values) {
    return static_cast<Index>(values.size_bytes());
  }
  template <class T>
  static Pending copy(std::span<const T> from, std::span<T> to) {
    if (from.data() != to.data() && !to.empty())
      detail::copy_bytes(Cuda{}, Cuda{}, to.data(), from.data(), bytes_of(to));
    return {};
  }
  /// (N - 1) / N of a number of bytes.
  Index shared(Index bytes) const { return bytes - bytes / size(); }

  static bool even(const Partition& partition) {
    for (int r = 0; r < partition.ranks(); ++r)
      if (partition.size(r) != partition.size(0)) return false;
    return true;
  }

  template <class Calls>
  static ncclResult_t grouped(const Calls& calls) {
    const ncclResult_t opened = ncclGroupStart();
    if (opened != ncclSuccess) return opened;
    const ncclResult_t result = calls();
    const ncclResult_t closed = ncclGroupEnd();
    return result == ncclSuccess ? closed : result;
  }
  /// part(rank, first element, number of elements) for the parts that are not empty, as one group of calls.
  template <class Part>
  static ncclResult_t for_each_part(const Partition& partition, const Part& part) {
    return grouped([&] {
      ncclResult_t result = ncclSuccess;
      for (int r = 0; r < partition.ranks() && result == ncclSuccess; ++r)
        if (partition.size(r) > 0)
          result = part(r, static_cast<std::size_t>(partition.begin(r)),
                        static_cast<std::size_t>(partition.size(r)));
      return result;
    });
  }

  template <class Call>
  Pending start(Collective kind, Index bytes, Location where, const Call& call) const {
    group_->follow_computation();
    detail::check_nccl(call(), name_of(kind), where);
    detail::each_step(Cuda{},
                      [group = group_, kind, bytes] { group->count(kind, bytes > 0 ? 1 : 0, bytes); });
    return Pending{std::make_unique<detail::NcclWork>(group_)};
  }

  std::shared_ptr<detail::NcclGroup> group_;
};

static_assert(Communicator<NcclCommunicator>);

}  // namespace burrow
