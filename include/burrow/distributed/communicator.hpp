// What a communicator is: a group of ranks that exchange spans of elements. Here stand the concept, what its
// functions speak of, and SelfCommunicator, the group of one rank; distributed/mpi.hpp has the one of
// processes.
//
//   const float total = world.all_reduce(mine, Reduction::sum);
//   Pending sum = world.start_all_reduce(gradient.values(), Reduction::sum);   // goes on while others
//   compute sum.wait();
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdlib>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <burrow/core/dtype.hpp>
#include <burrow/core/error.hpp>
#include <burrow/core/memory.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// How values of several ranks become one. Sums of half and bf16 are made in fp32 and rounded once.
enum class Reduction { sum, max, min };

/// Element types that ranks exchange; all of them but bool can be reduced.
template <class T>
concept Communicable = Element<T> && !detail::is_dual<T>;
/// Element types that ranks add or compare.
template <class T>
concept Reducible = Communicable<T> && !std::same_as<T, bool>;

/// How a flat buffer is divided among ranks: rank r has the elements [begin(r), end(r)).
class Partition {
 public:
  /// Ranks 0, 1, ... have ceil(count / ranks) elements each, the last ones what is left, perhaps nothing.
  Partition(Index count, int ranks) : bounds_(static_cast<std::size_t>(ranks) + 1) {
    const Index each = (count + ranks - 1) / ranks;
    for (int r = 0; r <= ranks; ++r) bounds_[static_cast<std::size_t>(r)] = std::min(count, r * each);
  }
  /// Rank r has the elements from bounds[r] on, up to bounds[r + 1]. Throws ValueError where bounds fall.
  explicit Partition(std::span<const Index> bounds, Location where = Location::here())
      : bounds_(bounds.begin(), bounds.end()) {
    if (bounds_.size() < 2 || bounds_.front() != 0 || !std::is_sorted(bounds_.begin(), bounds_.end()))
      throw ValueError("partition: bounds start at 0 and do not fall, and there is one more than ranks" +
                       at(where));
  }

  int ranks() const { return static_cast<int>(bounds_.size()) - 1; }
  Index count() const { return bounds_.back(); }
  /// The first element of a rank.
  Index begin(int rank) const { return bounds_[static_cast<std::size_t>(rank)]; }
  /// The element after the last of a rank.
  Index end(int rank) const { return bounds_[static_cast<std::size_t>(rank) + 1]; }
  /// The number of elements of a rank.
  Index size(int rank) const { return end(rank) - begin(rank); }

  /// The part of a whole buffer that a rank has.
  template <class T>
  std::span<T> part(std::span<T> whole, int rank) const {
    return whole.subspan(static_cast<std::size_t>(begin(rank)), static_cast<std::size_t>(size(rank)));
  }
  friend bool operator==(const Partition&, const Partition&) = default;

 private:
  std::vector<Index, PoolAllocator<Index>> bounds_;
};

/// The kinds of exchange that are counted apart; splits have a name here, and are not counted.
enum class Collective {
  all_reduce,
  reduce_scatter,
  all_gather,
  broadcast,
  all_to_all,
  point_to_point,
  barrier,
  split
};
/// The number of kinds.
inline constexpr std::size_t collective_count = 8;

/// "all_reduce", "reduce_scatter", ...
constexpr const char* name_of(Collective collective) {
  constexpr std::array<const char*, collective_count> names{"all_reduce", "reduce_scatter", "all_gather",
                                                            "broadcast",  "all_to_all",     "point_to_point",
                                                            "barrier",    "split"};
  return names[static_cast<std::size_t>(collective)];
}

/// What a rank has sent so far: `counts` of calls made, messages and bytes that left it for another rank, by
/// kinds of calls.
struct Traffic {
  /// What was sent by calls of one kind, in `messages` and `bytes`.
  struct Count {
    Index calls = 0, messages = 0, bytes = 0;

    Count& operator+=(const Count& other) {
      calls += other.calls;
      messages += other.messages;
      bytes += other.bytes;
      return *this;
    }
    friend Count operator-(const Count& a, const Count& b) {
      return {a.calls - b.calls, a.messages - b.messages, a.bytes - b.bytes};
    }
  };
  std::array<Count, collective_count> counts{};

  Count& operator[](Collective c) { return counts[static_cast<std::size_t>(c)]; }
  const Count& operator[](Collective c) const { return counts[static_cast<std::size_t>(c)]; }
  Count total() const {
    Count sum;
    for (const Count& c : counts) sum += c;
    return sum;
  }
  Traffic& operator+=(const Traffic& other) {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    return *this;
  }
  /// What was sent since `before`.
  friend Traffic operator-(Traffic now, const Traffic& before) {
    for (std::size_t i = 0; i < now.counts.size(); ++i) now.counts[i] = now.counts[i] - before.counts[i];
    return now;
  }
};

/// An exchange under way. The buffers it was given belong to it until it was waited for, which the destructor
/// does at the latest. A communicator's exchanges begin in the order of the calls; one of a device's stream
/// waits for, and is waited for by, what that stream computes.
class [[nodiscard]] Pending {
 public:
  /// What a communicator does for an exchange.
  class Work {
   public:
    Work() = default;
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    virtual ~Work() = default;
    [[gnu::noinline]] static void* operator new(std::size_t bytes) {
      return PoolAllocator<std::byte>{}.allocate(bytes);
    }
    [[gnu::noinline]] static void operator delete(void* work, std::size_t bytes) {
      PoolAllocator<std::byte>{}.deallocate(static_cast<std::byte*>(work), bytes);
    }
    /// Does what can be done without waiting; true when all is done.
    virtual bool advance() = 0;
    /// Returns when all is done. Throws Error where a rank stays away.
    virtual void wait() = 0;
  };

  /// Nothing to wait for.
  Pending() = default;
  explicit Pending(std::unique_ptr<Work> work) : work_{std::move(work)} {}
  Pending(Pending&&) noexcept = default;
  Pending& operator=(Pending&& other) noexcept {
    finish();
    work_ = std::move(other.work_);
    return *this;
  }
  ~Pending() { finish(); }

  /// True when the exchange is done; lets it make progress.
  bool ready() {
    if (work_ && work_->advance()) work_.reset();
    return !work_;
  }
  /// Returns when the exchange is done. Throws Error where a rank stays away longer than the watchdog allows.
  void wait() {
    if (!work_) return;
    work_->wait();
    work_.reset();
  }

 private:
  void finish() {
    if (work_ && std::uncaught_exceptions() > 0)
      (void)work_.release();  // others may never come, and messages may still arrive in its memory
    else
      wait();
  }

  std::unique_ptr<Work> work_;
};

/// A group of ranks. Every rank of the group makes the same calls in the same order, on spans of the same
/// size; results are the same bits in every run. `start_...` give a Pending, the others wait.
template <class C>
concept Communicator = std::copyable<C> &&
    requires(const C& c, std::span<float> x, std::span<const float> in, const Partition& partition) {
  { c.rank() } -> std::same_as<int>;
  { c.size() } -> std::same_as<int>;
  { c.start_all_reduce(x, Reduction::sum) } -> std::same_as<Pending>;
  { c.start_reduce_scatter(in, x, partition, Reduction::sum) } -> std::same_as<Pending>;
  { c.start_all_gather(in, x, partition) } -> std::same_as<Pending>;
  { c.start_broadcast(x, 0) } -> std::same_as<Pending>;
  { c.start_all_to_all(in, x) } -> std::same_as<Pending>;
  { c.start_send(in, 0) } -> std::same_as<Pending>;
  { c.start_receive(x, 0) } -> std::same_as<Pending>;
  { c.split(0, 0) } -> std::same_as<C>;
  { c.traffic() } -> std::same_as<Traffic>;
  c.barrier();
};

namespace detail {

/// Throws ShapeError where a buffer has not the size that the exchange has for it.
inline void check_extent(const char* operation, const char* what, std::size_t size, Index wanted,
                         Location where) {
  if (static_cast<Index>(size) != wanted)
    throw ShapeError(std::string(operation) + ": " + what + " has " + std::to_string(size) +
                     " elements, not " + std::to_string(wanted) + burrow::at(where));
}

inline void check_rank(const char* operation, int rank, int size, Location where) {
  if (rank < 0 || rank >= size)
    throw ValueError(std::string(operation) + ": rank " + std::to_string(rank) + " of a group of " +
                     std::to_string(size) + burrow::at(where));
}

/// Throws ValueError where a rank is not another one of its group.
inline void check_peer(const char* operation, int peer, int rank, int size, Location where) {
  if (peer == rank || peer < 0 || peer >= size)
    throw ValueError(std::string(operation) + ": rank " + std::to_string(peer) +
                     " is not another rank of this group of " + std::to_string(size) + burrow::at(where));
}

/// Throws ShapeError where the own part of a buffer, and the whole, are not what a partition says.
inline void check_parts(const char* operation, std::size_t own, std::size_t whole, const Partition& partition,
                        int rank, int size, Location where) {
  if (partition.ranks() != size)
    throw ShapeError(std::string(operation) + ": a partition among " + std::to_string(partition.ranks()) +
                     " ranks in a group of " + std::to_string(size) + burrow::at(where));
  check_extent(operation, "the own part", own, partition.size(rank), where);
  check_extent(operation, "the whole", whole, partition.count(), where);
}

/// Throws ShapeError where a rank does not receive as many elements as it sends, in equal blocks.
inline void check_blocks(std::size_t sent, std::size_t received, int size, Location where) {
  check_extent("all_to_all", "what is received", received, static_cast<Index>(sent), where);
  if (sent % static_cast<std::size_t>(size) != 0)
    throw ShapeError("all_to_all: " + std::to_string(sent) + " elements are not " + std::to_string(size) +
                     " equal blocks" + burrow::at(where));
}

}  // namespace detail

/// The functions of a communicator that wait, made from those that start. T is any communicable type; that of
/// sums, maxima and minima is not bool.
template <class Derived>
class WaitingCalls {
 public:
  /// Every rank's values become the reduction of all ranks' values.
  template <Reducible T>
  void all_reduce(std::span<T> values, Reduction by = Reduction::sum,
                  Location where = Location::here()) const {
    self().start_all_reduce(values, by, where).wait();
  }
  /// The reduction of one number from each rank.
  template <Reducible T>
  T all_reduce(T value, Reduction by = Reduction::sum, Location where = Location::here()) const {
    all_reduce(std::span<T>{&value, 1}, by, where);
    return value;
  }
  /// `own` becomes this rank's part of the reduction of all ranks' values; it may be that part of `values`,
  /// whose other elements stay.
  template <Reducible T>
  void reduce_scatter(std::type_identity_t<std::span<const T>> values, std::span<T> own,
                      const Partition& partition, Reduction by = Reduction::sum,
                      Location where = Location::here()) const {
    self().start_reduce_scatter(values, own, partition, by, where).wait();
  }
  /// `values` become the parts of all ranks, one after the other; `own` may be this rank's part of them.
  template <Communicable T>
  void all_gather(std::type_identity_t<std::span<const T>> own, std::span<T> values,
                  const Partition& partition, Location where = Location::here()) const {
    self().start_all_gather(own, values, partition, where).wait();
  }
  /// Every rank's values become those of rank `root`.
  template <Communicable T>
  void broadcast(std::span<T> values, int root = 0, Location where = Location::here()) const {
    self().start_broadcast(values, root, where).wait();
  }
  /// Block r of `sent` goes to rank r; block r of `received` is what rank r sent here. Blocks are equal.
  template <Communicable T>
  void all_to_all(std::type_identity_t<std::span<const T>> sent, std::span<T> received,
                  Location where = Location::here()) const {
    self().start_all_to_all(sent, received, where).wait();
  }
  /// Sends values to rank `to`, which receives as many.
  template <class T>
  void send(std::span<T> values, int to, Location where = Location::here()) const {
    self().start_send(values, to, where).wait();
  }
  /// Receives what rank `from` sends; messages between two ranks keep their order.
  template <Communicable T>
  void receive(std::span<T> values, int from, Location where = Location::here()) const {
    self().start_receive(values, from, where).wait();
  }

 private:
  const Derived& self() const { return static_cast<const Derived&>(*this); }
};

/// The group of one rank: collectives copy, and nothing is sent.
class SelfCommunicator : public WaitingCalls<SelfCommunicator> {
 public:
  SelfCommunicator() = default;
  int rank() const { return 0; }
  int size() const { return 1; }

  /// Values stay as they are.
  template <Reducible T>
  Pending start_all_reduce(std::span<T>, Reduction = Reduction::sum, Location = Location::here()) const {
    return {};
  }
  /// Copies `values` to `own`.
  template <Reducible T>
  Pending start_reduce_scatter(std::type_identity_t<std::span<const T>> values, std::span<T> own,
                               const Partition& partition, Reduction = Reduction::sum,
                               Location where = Location::here()) const {
    detail::check_parts("reduce_scatter", own.size(), values.size(), partition, 0, 1, where);
    return copy(values, own);
  }
  /// Copies `own` to `values`.
  template <Communicable T>
  Pending start_all_gather(std::type_identity_t<std::span<const T>> own, std::span<T> values,
                           const Partition& partition, Location where = Location::here()) const {
    detail::check_parts("all_gather", own.size(), values.size(), partition, 0, 1, where);
    return copy(own, values);
  }
  /// Values stay as they are. Throws ValueError for another root than 0.
  template <Communicable T>
  Pending start_broadcast(std::span<T>, int root = 0, Location where = Location::here()) const {
    detail::check_rank("broadcast", root, 1, where);
    return {};
  }
  /// Copies `sent` to `received`.
  template <Communicable T>
  Pending start_all_to_all(std::type_identity_t<std::span<const T>> sent, std::span<T> received,
                           Location where = Location::here()) const {
    detail::check_blocks(sent.size(), received.size(), 1, where);
    return copy(sent, received);
  }
  /// Throws ValueError: there is nobody else.
  template <class T>
  Pending start_send(std::span<T>, int to, Location where = Location::here()) const {
    return refuse("send", to, where);
  }
  /// Throws ValueError: there is nobody else.
  template <Communicable T>
  Pending start_receive(std::span<T>, int from, Location where = Location::here()) const {
    return refuse("receive", from, where);
  }
  /// Nobody is waited for.
  void barrier(Location = Location::here()) const {}
  /// The same group.
  SelfCommunicator split(int, int) const { return {}; }
  /// Nothing was sent.
  Traffic traffic() const { return {}; }
  void reset_traffic() const {}
  /// Nobody is waited for, however long.
  double patience() const { return 0; }
  /// Nobody is waited for.
  void set_patience(double) const {}

 private:
  template <class T>
  static Pending copy(std::span<const T> from, std::span<T> to) {
    if (from.data() != to.data()) std::copy(from.begin(), from.end(), to.begin());
    return {};
  }
  static Pending refuse(const char* operation, int peer, Location where) {
    throw ValueError(std::string(operation) + ": rank " + std::to_string(peer) +
                     " is not another rank of this group of 1" + burrow::at(where));
  }
};

static_assert(Communicator<SelfCommunicator>);

}  // namespace burrow
