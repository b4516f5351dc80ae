// What exchanges between processes are made of: a transport that carries messages, the group of ranks that
// uses it, and an operation: rounds of messages with local work after each. Nothing here depends on element
// types.
#pragma once

#include <sched.h>
#include <time.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <burrow/distributed/communicator.hpp>

namespace burrow::detail {

/// Carries messages between the ranks of a group, in order between two ranks and one tag. Messages are told
/// by numbers until they are done.
class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// The rank in the world of a rank of this group.
  virtual int world_rank(int rank) const = 0;
  virtual std::uint64_t send(const void* data, Index bytes, int to, int tag) = 0;
  virtual std::uint64_t receive(void* data, Index bytes, int from, int tag) = 0;
  virtual bool done(std::uint64_t& message) = 0;
  virtual std::shared_ptr<Transport> split(int color, int key) = 0;
};

/// A number from the environment, or what stands in for it.
inline double environment_number(const char* name, double otherwise) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return otherwise;
  char* end = nullptr;
  const double value = std::strtod(text, &end);
  if (*end != '\0' || value < 0) throw ValueError(std::string(name) + "='" + text + "' is not a number");
  return value;
}

/// The ranks that make the same calls, and what this one has done among them.
struct Group {
  explicit Group(std::shared_ptr<Transport> over)
      : transport{std::move(over)}, rank{transport->rank()}, size{transport->size()} {}

  std::shared_ptr<Transport> transport;
  int rank, size;
  int sequence = 0;  // of exchanges, the same on all ranks
  Traffic traffic;
  double waited = 0;  // seconds in `wait` of exchanges
  bool check = environment_number("BURROW_CHECK_COLLECTIVES", 0) != 0;
  double patience = environment_number("BURROW_COLLECTIVE_TIMEOUT", 600);  // seconds; 0: without end
  static constexpr Index usual_segment_bytes = Index{256} << 10;
  Index segment_bytes = usual_segment_bytes;
  Index message_bytes = Index{1} << 30;  // the largest message

  std::string name(int r) const { return "rank " + std::to_string(transport->world_rank(r)); }
};

/// One message of an operation.
struct Transfer {
  std::uint64_t message;
  int peer;
  bool received;
};

/// An exchange: rounds of messages, two of them under way at a time, with local work when a round is done;
/// then messages that only have to be done at the end.
class Operation : public Pending::Work {
 public:
  Operation(std::shared_ptr<Group> group, Collective kind, Location where, int window = 2)
      : group_{std::move(group)}, kind_{kind}, where_{where}, window_{window} {
    tag_ = 2 * (group_->sequence++ % (1 << 13));
    if (counted_) ++group_->traffic[kind].calls;
  }

  bool advance() override {
    for (;;) {
      while (!posted_all_ && posted_ - finished_ < window_) {
        list_ = &rounds_[static_cast<std::size_t>(posted_ % 2)];
        post(posted_) ? void(++posted_) : void(posted_all_ = true);
      }
      if (finished_ == posted_) return settled(trailing_);
      if (!settled(rounds_[static_cast<std::size_t>(finished_ % 2)])) return false;
      list_ = &trailing_;
      finish(finished_++);
    }
  }

  void wait() override {
    if (advance()) return;
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    auto last = begin;
    for (Index idle = 0; !advance(); ++idle) {
      if (progress_) {
        progress_ = false;
        idle = 0;
        last = Clock::now();
      }
      if (idle > 64) sched_yield();
      if (idle < 4096 || idle % 16 != 0) continue;
      const timespec nap{0, 20'000};
      nanosleep(&nap, nullptr);
      if (group_->patience > 0 &&
          std::chrono::duration<double>(Clock::now() - last).count() > group_->patience)
        stayed_away();
    }
    group_->waited += std::chrono::duration<double>(Clock::now() - begin).count();
  }

 protected:
  /// Posts the messages of a round; false where there is no such round.
  virtual bool post(Index round) = 0;
  /// The local work after a round; what it posts is waited for at the end.
  virtual void finish(Index) {}

  Group& group() const { return *group_; }
  int rank() const { return group_->rank; }
  int size() const { return group_->size; }
  /// The rank `distance` after this one, around the group.
  int neighbour(int distance) const { return (rank() + distance + size()) % size(); }
  /// Takes the memory for so many messages of each round, and of those that are waited for at the end, so
  /// that an exchange takes all of its memory when it begins.
  void expect_messages(Index of_round, Index at_end) {
    for (Transfers& round : rounds_) round.reserve(static_cast<std::size_t>(of_round));
    trailing_.reserve(static_cast<std::size_t>(at_end));
  }
  void not_counted() {
    --group_->traffic[kind_].calls;
    counted_ = false;
  }

  void send(const void* data, Index bytes, int to, int phase = 0) {
    each_message(bytes, [&](Index at, Index n) {
      const auto message =
          group_->transport->send(static_cast<const std::byte*>(data) + at, n, to, tag_ + phase);
      list_->push_back({message, to, false});
      if (!counted_) return;
      ++group_->traffic[kind_].messages;
      group_->traffic[kind_].bytes += n;
    });
  }
  void receive(void* data, Index bytes, int from, int phase = 0) {
    each_message(bytes, [&](Index at, Index n) {
      list_->push_back({group_->transport->receive(static_cast<std::byte*>(data) + at, n, from, tag_ + phase),
                        from, true});
    });
  }
  /// Messages of two ranks by themselves, whatever exchanges of all ranks go on, share one tag.
  void use_tag_of_pairs() {
    --group_->sequence;
    tag_ = 2 << 13;
  }

 private:
  using Transfers = std::vector<Transfer, PoolAllocator<Transfer>>;

  template <class Body>
  void each_message(Index bytes, const Body& body) const {
    for (Index at = 0; at < bytes; at += group_->message_bytes)
      body(at, std::min(group_->message_bytes, bytes - at));
  }

  bool settled(Transfers& transfers) {
    for (std::size_t i = 0; i < transfers.size();) {
      if (!group_->transport->done(transfers[i].message)) {
        ++i;
        continue;
      }
      progress_ = true;
      transfers[i] = transfers.back();
      transfers.pop_back();
    }
    return transfers.empty();
  }

  [[noreturn]] void stayed_away() {
    std::vector<bool> named(static_cast<std::size_t>(size()));
    for (const Transfers* const list : std::array{&rounds_[0], &rounds_[1], &trailing_})
      for (const Transfer& t : *list) named[static_cast<std::size_t>(t.peer)] = true;
    std::string who;
    for (int r = 0; r < size(); ++r)
      if (named[static_cast<std::size_t>(r)]) who += (who.empty() ? "" : ", ") + group_->name(r);
    throw Error(std::string(name_of(kind_)) + ": " + group_->name(rank()) + " has waited " +
                std::to_string(static_cast<Index>(group_->patience)) + " s in vain for " + who + at(where_));
  }

  std::shared_ptr<Group> group_;
  Collective kind_;
  Location where_;
  int window_, tag_ = 0;
  bool counted_ = true, posted_all_ = false, progress_ = false;
  Index posted_ = 0, finished_ = 0;
  std::array<Transfers, 2> rounds_;
  Transfers trailing_, *list_ = nullptr;
};

}  // namespace burrow::detail
