// MpiCommunicator: processes that a launcher (mpirun, srun) has started. MPI carries the messages; which ones
// are sent, and the order of sums, are those of distributed/collectives.hpp. Needs burrow::mpi.
#pragma once

#include <mpi.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include <burrow/distributed/collectives.hpp>

namespace burrow {

namespace detail {

inline void check_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Error(std::string(what) + ": " + std::string(text.data(), static_cast<std::size_t>(length)));
}

/// The use of MPI by this process, from the first communicator to the last. A process that ends otherwise
/// than by giving its communicators back ends the others, with a sentence that names its rank.
class MpiSession {
 public:
  explicit MpiSession(int* argc, char*** argv) {
    int initialized = 0;
    MPI_Initialized(&initialized);
    owner_ = initialized == 0;
    int provided = 0;
    if (owner_) check_mpi(MPI_Init_thread(argc, argv, MPI_THREAD_SERIALIZED, &provided), "MPI_Init");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    running_rank() = rank;
    running_size() = size;
    if (!owner_) return;
    static const bool registered = [] {
      std::atexit([] {
        if (running_rank() >= 0) abort("it exits while others may wait for it");
      });
      std::set_terminate([] { abort(what_was_thrown()); });
      return true;
    }();
    (void)registered;
  }
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;
  ~MpiSession() {
    if (!owner_) return;
    if (std::uncaught_exceptions() > 0) return;  // whoever catches it may say why; the exit then ends all
    wait_for_all();
    running_rank() = -1;
    MPI_Finalize();
  }

  /// Says which rank ends and why, and ends all of them.
  [[noreturn]] static void abort(const std::string& why) {
    if (running_rank() < 0) std::abort();
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    std::fprintf(stderr, "burrow: rank %d of %d, on %s, ends all ranks: %s\n", running_rank(), running_size(),
                 host.data(), why.c_str());
    std::fflush(stderr);
    running_rank() = -1;
    MPI_Abort(MPI_COMM_WORLD, 1);
    std::abort();
  }

  int rank = 0, size = 1;

 private:
  /// Open MPI's mpirun may hang where a rank fails while others are in MPI_Finalize; so they wait before it.
  static void wait_for_all() {
    MPI_Request request;
    int all = MPI_Ibarrier(MPI_COMM_WORLD, &request) == MPI_SUCCESS ? 0 : 1;
    while (all == 0) {
      usleep(500);
      if (MPI_Test(&request, &all, MPI_STATUS_IGNORE) != MPI_SUCCESS) return;
    }
  }
  static std::string what_was_thrown() {
    try {
      if (const auto error = std::current_exception()) std::rethrow_exception(error);
    } catch (const std::exception& error) {
      return error.what();
    } catch (...) {
      return "something that is no std::exception was thrown";
    }
    return "std::terminate was called";
  }
  static int& running_rank() {
    static int rank = -1;
    return rank;
  }
  static int& running_size() {
    static int size = 1;
    return size;
  }

  bool owner_ = false;
};

/// Messages over a communicator of MPI of our own, so that they meet no other's.
class MpiTransport final : public Transport {
 public:
  MpiTransport(std::shared_ptr<MpiSession> session, MPI_Comm comm)
      : session_{std::move(session)}, comm_{comm} {
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
    world_ranks_.resize(static_cast<std::size_t>(size_));
    check_mpi(MPI_Allgather(&session_->rank, 1, MPI_INT, world_ranks_.data(), 1, MPI_INT, comm_),
              "MPI_Allgather");
  }
  ~MpiTransport() override {
    if (std::uncaught_exceptions() == 0) MPI_Comm_free(&comm_);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int world_rank(int rank) const override { return world_ranks_[static_cast<std::size_t>(rank)]; }

  std::uint64_t send(const void* data, Index bytes, int to, int tag) override {
    MPI_Request request;
    check_mpi(MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, to, tag, comm_, &request), "MPI_Isend");
    return number_of(request);
  }
  std::uint64_t receive(void* data, Index bytes, int from, int tag) override {
    MPI_Request request;
    check_mpi(MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, from, tag, comm_, &request), "MPI_Irecv");
    return number_of(request);
  }
  bool done(std::uint64_t& message) override {
    MPI_Request request;
    std::memcpy(&request, &message, sizeof(request));
    int flag = 0;
    check_mpi(MPI_Test(&request, &flag, MPI_STATUS_IGNORE), "MPI_Test");
    message = number_of(request);
    return flag != 0;
  }
  std::shared_ptr<Transport> split(int color, int key) override {
    MPI_Comm part = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split(comm_, color, key, &part), "MPI_Comm_split");
    return std::make_shared<MpiTransport>(session_, part);
  }

 private:
  static std::uint64_t number_of(const MPI_Request& request) {
    static_assert(sizeof(request) <= sizeof(std::uint64_t));
    std::uint64_t number = 0;
    std::memcpy(&number, &request, sizeof(request));
    return number;
  }

  std::shared_ptr<MpiSession> session_;
  MPI_Comm comm_;
  int rank_ = 0, size_ = 1;
  std::vector<int> world_ranks_;
};

}  // namespace detail

/// A group of processes. Copies are the same group; all calls of a process are made by one thread at a time.
class MpiCommunicator : public WaitingCalls<MpiCommunicator> {
 public:
  /// This process alone; nothing of MPI is used.
  MpiCommunicator() = default;
  explicit MpiCommunicator(std::shared_ptr<detail::Transport> transport)
      : group_{std::make_shared<detail::Group>(std::move(transport))} {}
  /// The processes that MPI knows; starts MPI where that was not done, and ends it with the last
  /// communicator.
  static MpiCommunicator world(int& argc, char**& argv) {
    auto session = std::make_shared<detail::MpiSession>(&argc, &argv);
    MPI_Comm comm = MPI_COMM_NULL;
    detail::check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "MPI_Comm_dup");
    return MpiCommunicator{std::make_shared<detail::MpiTransport>(std::move(session), comm)};
  }

  int rank() const { return group_ ? group_->rank : 0; }
  int size() const { return group_ ? group_->size : 1; }

  /// Begins to make every rank's values the reduction of all ranks' values.
  template <Reducible T>
  Pending start_all_reduce(std::span<T> values, Reduction by = Reduction::sum,
                           Location where = Location::here()) const {
    if (size() == 1) return {};
    check(Collective::all_reduce, values.size(), dtype_name<T>(), where, {.by = by});
    const auto count = static_cast<Index>(values.size());
    const Partition partition{count, size()};
    return start<detail::ReduceOperation>(values.data(), values.data() + partition.begin(rank()), partition,
                                          detail::reduced_kind<T>(by), true, where);
  }

  /// Begins to make `own` this rank's part of the reduction; it may be that part of `values`.
  template <Reducible T>
  Pending start_reduce_scatter(std::type_identity_t<std::span<const T>> values, std::span<T> own,
                               const Partition& partition, Reduction by = Reduction::sum,
                               Location where = Location::here()) const {
    detail::check_parts("reduce_scatter", own.size(), values.size(), partition, rank(), size(), where);
    if (size() == 1) return alone_.start_reduce_scatter(values, own, partition, by, where);
    check(Collective::reduce_scatter, values.size(), dtype_name<T>(), where, {by, &partition});
    return start<detail::ReduceOperation>(values.data(), own.data(), partition, detail::reduced_kind<T>(by),
                                          false, where);
  }

  /// Begins to make `values` the parts of all ranks; `own` may be this rank's part of them.
  template <Communicable T>
  Pending start_all_gather(std::type_identity_t<std::span<const T>> own, std::span<T> values,
                           const Partition& partition, Location where = Location::here()) const {
    detail::check_parts("all_gather", own.size(), values.size(), partition, rank(), size(), where);
    if (size() == 1) return alone_.start_all_gather(own, values, partition, where);
    check(Collective::all_gather, values.size(), dtype_name<T>(), where, {.partition = &partition});
    return start<detail::GatherOperation>(own.data(), values.data(), partition, Index{sizeof(T)}, true,
                                          where);
  }

  /// Begins to make every rank's values those of `root`.
  template <Communicable T>
  Pending start_broadcast(std::span<T> values, int root = 0, Location where = Location::here()) const {
    detail::check_rank("broadcast", root, size(), where);
    if (size() == 1) return {};
    check(Collective::broadcast, values.size(), dtype_name<T>(), where, {.root = root});
    return start<detail::BroadcastOperation>(values.data(), bytes_of(values), root, where);
  }

  /// Begins to send block r of `sent` to rank r, and to receive its block. Throws ShapeError where blocks are
  /// not equal.
  template <Communicable T>
  Pending start_all_to_all(std::type_identity_t<std::span<const T>> sent, std::span<T> received,
                           Location where = Location::here()) const {
    detail::check_blocks(sent.size(), received.size(), size(), where);
    if (size() == 1) return alone_.start_all_to_all(sent, received, where);
    check(Collective::all_to_all, sent.size(), dtype_name<T>(), where, {});
    return start<detail::ExchangeOperation>(sent.data(), received.data(), bytes_of(sent) / size(), where);
  }

  /// Throws ValueError where `to` is this rank or none of the group.
  template <class T>
  requires Communicable<std::remove_const_t<T>> Pending start_send(std::span<T> values, int to,
                                                                   Location where = Location::here())
  const {
    detail::check_peer("send", to, rank(), size(), where);
    return start<detail::PairOperation>(values.data(), nullptr, bytes_of(values), to, where);
  }
  /// Begins to receive what rank `from` sends here. Throws ValueError as `start_send` does.
  template <Communicable T>
  Pending start_receive(std::span<T> values, int from, Location where = Location::here()) const {
    detail::check_peer("receive", from, rank(), size(), where);
    return start<detail::PairOperation>(nullptr, values.data(), bytes_of(values), from, where);
  }

  /// Returns when all ranks have called it.
  void barrier(Location where = Location::here()) const {
    if (size() == 1) return;
    check(Collective::barrier, 0, "", where, {});
    start<detail::BarrierOperation>(Collective::barrier, where).wait();
  }

  /// The group of the ranks that give the same `color`, ordered by `key` and then by rank. All ranks call it.
  MpiCommunicator split(int color, int key, Location where = Location::here()) const {
    if (size() == 1) return *this;
    check(Collective::split, 0, "", where, {});
    start<detail::BarrierOperation>(Collective::split, where).wait();  // MPI's own waits without end
    return MpiCommunicator{group_->transport->split(color, key)};
  }

  /// What this rank has sent to this group since the start or the last `reset_traffic`.
  Traffic traffic() const { return group_ ? group_->traffic : Traffic{}; }
  void reset_traffic() const {
    if (group_) group_->traffic = {};
  }
  /// Seconds that this rank has spent in waiting for exchanges of this group, the work on them included.
  double waited() const { return group_ ? group_->waited : 0; }
  /// Compares every call with the other ranks' before it exchanges, so that one that differs is named; the
  /// environment's BURROW_CHECK_COLLECTIVES=1 does so from the start.
  void check_calls(bool check) const {
    if (group_) group_->check = check;
  }
  /// How many seconds a rank waits for the others before it throws; 0: without end. The environment's
  /// BURROW_COLLECTIVE_TIMEOUT sets it from the start, which otherwise is 600.
  void set_patience(double seconds) const {
    if (group_) group_->patience = seconds;
  }
  double patience() const { return group_ ? group_->patience : 0; }
  /// The largest message, and the piece in which reductions and long broadcasts go; the same on all ranks.
  void set_message_sizes(Index message_bytes, Index segment_bytes) const {
    if (!group_) return;
    group_->message_bytes = message_bytes;
    group_->segment_bytes = segment_bytes;
  }

 private:
  struct CallDetails {
    Reduction by = Reduction::sum;
    const Partition* partition = nullptr;
    int root = 0;
  };

  template <class T>
  static Index bytes_of(std::span<T> values) {
    return static_cast<Index>(values.size_bytes());
  }

  template <class Work, class... Arguments>
  Pending start(const Arguments&... arguments) const {
    auto work = std::make_unique<Work>(group_, arguments...);
    (void)work->advance();
    return Pending{std::move(work)};
  }

  void check(Collective collective, std::size_t count, std::string_view dtype, Location where,
             const CallDetails& details) const {
    if (!group_->check) return;
    detail::CallRecord call;
    call.count = static_cast<Index>(count);
    call.collective = static_cast<int>(collective);
    const bool reduces = collective == Collective::all_reduce || collective == Collective::reduce_scatter;
    call.reduction = reduces ? 1 + static_cast<int>(details.by) : 0;
    call.root = details.root;
    call.line = where.line;
    if (details.partition != nullptr)
      for (int r = 0; r < size(); ++r)
        call.bounds = (call.bounds ^ static_cast<std::uint64_t>(details.partition->end(r))) * 0x100000001b3u;
    std::copy_n(dtype.begin(), std::min(dtype.size(), call.dtype.size() - 1), call.dtype.begin());
    const std::string_view file = where.file;
    const std::size_t kept = std::min(file.size(), call.file.size() - 1);
    std::copy_n(file.end() - static_cast<std::ptrdiff_t>(kept), kept, call.file.begin());
    detail::compare_calls(group_, call, where);
  }

  std::shared_ptr<detail::Group> group_;
  SelfCommunicator alone_;
};

static_assert(Communicator<MpiCommunicator>);

}  // namespace burrow
