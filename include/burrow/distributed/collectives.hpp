// Exchanges among a group of ranks, made of messages between two, so that what is sent and the order of sums
// are burrow's own: every rank adds one part of the values, in the order of the ranks, and passes the sums
// on. Each rank sends 2 (N - 1) / N of what is reduced by all, the least that is possible, and the bits of a
// sum depend neither on time nor on where in the buffer it stands.
#pragma once

#include <cstring>

#include <burrow/distributed/transport.hpp>

namespace burrow::detail {

/// result[i] = parts[0][i] op parts[1][i] op ..., from left to right; result may be one of the parts.
using Combine = void (*)(void* result, const void* const* parts, int ranks, Index count);

/// What an exchange knows of its elements.
struct ElementKind {
  Index bytes;
  std::string_view name;
  Combine combine = nullptr;
};

template <class T, class Op>
void combine_parts(void* result, const void* const* parts, int ranks, Index count, const Op& op) {
  using C = compute_type<T>;
  constexpr Index block = 1024;
  alignas(64) std::array<C, block> sums;
  for (Index at = 0; at < count; at += block) {
    const Index n = std::min(block, count - at);
    const T* const first = static_cast<const T*>(parts[0]) + at;
    for (Index i = 0; i < n; ++i) sums[static_cast<std::size_t>(i)] = static_cast<C>(first[i]);
    for (int r = 1; r < ranks; ++r) {
      const T* const next = static_cast<const T*>(parts[r]) + at;
      for (Index i = 0; i < n; ++i) {
        C& sum = sums[static_cast<std::size_t>(i)];
        sum = op(sum, static_cast<C>(next[i]));
      }
    }
    T* const out = static_cast<T*>(result) + at;
    for (Index i = 0; i < n; ++i) out[i] = static_cast<T>(sums[static_cast<std::size_t>(i)]);
  }
}

/// NaN wins over every number, so that no rank's trouble is lost.
template <class T>
ElementKind reduced_kind(Reduction by) {
  using C = compute_type<T>;
  const Combine combine =
      by == Reduction::sum ? [](void* result, const void* const* parts, int ranks, Index count) {
        combine_parts<T>(result, parts, ranks, count, [](C a, C b) { return static_cast<C>(a + b); });
      }
      : by == Reduction::max ? [](void* result, const void* const* parts, int ranks, Index count) {
          combine_parts<T>(result, parts, ranks, count, [](C a, C b) { return a < b || b != b ? b : a; });
        }
        : [](void* result, const void* const* parts, int ranks, Index count) {
            combine_parts<T>(result, parts, ranks, count, [](C a, C b) { return b < a || b != b ? b : a; });
          };
  return {Index{sizeof(T)}, dtype_name<T>(), combine};
}

/// How a reduction goes, of which the longest part has so many elements: segments of each part, in rounds.
struct ReductionSegments {
  Index elements, rounds, scratch_bytes;

  ReductionSegments(Index longest_part, Index element_bytes, Index ranks, Index segment_bytes) {
    const Index others = ranks - 1;
    const Index room = std::max(segment_bytes * 8 / std::max<Index>(others, 8), Index{4096});
    elements = std::min(std::max<Index>(room / element_bytes, 1), std::max<Index>(longest_part, 1));
    rounds = (longest_part + elements - 1) / elements;
    scratch_bytes = (rounds > 1 ? 2 : 1) * others * elements * element_bytes;  // of two rounds under way
  }
};

/// Reduce-scatter, and with `share` all-reduce. In each round every rank sends a segment of each part to the
/// rank that adds it, which passes the sum on at once where it is shared.
class ReduceOperation final : public Operation {
 public:
  ReduceOperation(std::shared_ptr<Group> group, const void* values, void* own, const Partition& partition,
                  const ElementKind& kind, bool share, Location where)
      : Operation{std::move(group), share ? Collective::all_reduce : Collective::reduce_scatter, where},
        values_{static_cast<const std::byte*>(values)},
        own_{static_cast<std::byte*>(own)},
        partition_{partition},
        kind_{kind},
        share_{share} {
    const Index others = size() - 1;
    Index longest = 0;
    for (int r = 0; r < size(); ++r) longest = std::max(longest, partition.size(r));
    const ReductionSegments segments{longest, kind.bytes, size(), this->group().segment_bytes};
    segment_ = segments.elements;
    rounds_ = segments.rounds;
    scratch_ = Buffer<Cpu>{segments.scratch_bytes, MemoryUse::scratch};
    parts_.resize(static_cast<std::size_t>(size()));
    expect_messages(2 * others, share ? 2 * others * rounds_ : 0);
  }

 private:
  bool post(Index round) override {
    if (round >= rounds_) return false;
    for (int i = 1; i < size(); ++i) {
      const int to = neighbour(i), from = neighbour(-i);
      receive(received(round, from), bytes(rank(), round), from);
      send(values_ + offset(to, round), bytes(to, round), to);
    }
    return true;
  }

  void finish(Index round) override {
    const Index mine = bytes(rank(), round);
    std::byte* const sum = own_ + round * segment_ * kind_.bytes;
    if (mine > 0) {
      for (int r = 0; r < size(); ++r)
        parts_[static_cast<std::size_t>(r)] =
            r == rank() ? values_ + offset(rank(), round) : static_cast<const std::byte*>(received(round, r));
      kind_.combine(sum, parts_.data(), size(), mine / kind_.bytes);
    }
    if (!share_) return;
    std::byte* const whole = own_ - partition_.begin(rank()) * kind_.bytes;
    for (int i = 1; i < size(); ++i) {
      const int to = neighbour(i), from = neighbour(-i);
      receive(whole + offset(from, round), bytes(from, round), from, 1);
      send(sum, mine, to, 1);
    }
  }

  Index bytes(int r, Index round) const {
    return std::clamp<Index>(partition_.size(r) - round * segment_, 0, segment_) * kind_.bytes;
  }
  Index offset(int r, Index round) const { return (partition_.begin(r) + round * segment_) * kind_.bytes; }
  std::byte* received(Index round, int from) const {
    const Index slot = (round % 2) * (size() - 1) + from - (from > rank());
    return static_cast<std::byte*>(scratch_.data()) + slot * segment_ * kind_.bytes;
  }

  const std::byte* values_;
  std::byte* own_;
  Partition partition_;
  ElementKind kind_;
  bool share_;
  Index segment_ = 1, rounds_ = 0;
  Buffer<Cpu> scratch_;
  std::vector<const void*, PoolAllocator<const void*>> parts_;
};

/// Every rank sends its part to all others.
class GatherOperation final : public Operation {
 public:
  GatherOperation(std::shared_ptr<Group> group, const void* own, void* values, const Partition& partition,
                  Index element_bytes, bool counted, Location where)
      : Operation{std::move(group), Collective::all_gather, where},
        own_{own},
        values_{static_cast<std::byte*>(values)},
        partition_{partition},
        bytes_{element_bytes} {
    if (!counted) not_counted();
  }

 private:
  bool post(Index round) override {
    if (round > 0) return false;
    const Index mine = partition_.size(rank()) * bytes_;
    for (int i = 1; i < size(); ++i) {
      const int from = neighbour(-i);
      receive(values_ + partition_.begin(from) * bytes_, partition_.size(from) * bytes_, from);
      send(own_, mine, neighbour(i));
    }
    std::byte* const place = values_ + partition_.begin(rank()) * bytes_;
    if (place != own_ && mine > 0) std::memcpy(place, own_, static_cast<std::size_t>(mine));
    return true;
  }

  const void* own_;
  std::byte* values_;
  Partition partition_;
  Index bytes_;
};

/// A few bytes go down a binomial tree; many go around as a chain of segments, in which no rank sends more
/// than there is.
class BroadcastOperation final : public Operation {
 public:
  BroadcastOperation(std::shared_ptr<Group> group, void* data, Index bytes, int root, Location where)
      : Operation{std::move(group), Collective::broadcast, where},
        data_{static_cast<std::byte*>(data)},
        bytes_{bytes},
        place_{(rank() - root + size()) % size()},
        root_{root} {
    segment_ = this->group().segment_bytes;
    chain_ = bytes > segment_;
  }

 private:
  bool post(Index round) override {
    const Index at = round * segment_;
    if (at >= bytes_) return false;
    if (place_ > 0) receive(data_ + at, length(at), of_place(chain_ ? place_ - 1 : place_ & (place_ - 1)));
    return true;
  }
  void finish(Index round) override {
    const Index at = round * segment_;
    if (chain_) {
      if (place_ + 1 < size()) send(data_ + at, length(at), of_place(place_ + 1));
      return;
    }
    int bit = 1;
    while (bit < size() && (place_ & bit) == 0) bit <<= 1;
    for (bit >>= 1; bit > 0; bit >>= 1)
      if (place_ + bit < size()) send(data_, bytes_, of_place(place_ + bit));
  }

  Index length(Index at) const { return std::min(segment_, bytes_ - at); }
  int of_place(int place) const { return (place + root_) % size(); }

  std::byte* data_;
  Index bytes_, segment_ = 0;
  int place_, root_;
  bool chain_ = false;
};

/// Block r goes to rank r.
class ExchangeOperation final : public Operation {
 public:
  ExchangeOperation(std::shared_ptr<Group> group, const void* sent, void* received, Index block,
                    Location where)
      : Operation{std::move(group), Collective::all_to_all, where},
        sent_{static_cast<const std::byte*>(sent)},
        received_{static_cast<std::byte*>(received)},
        block_{block} {}

 private:
  bool post(Index round) override {
    if (round > 0) return false;
    for (int i = 1; i < size(); ++i) {
      receive(received_ + neighbour(-i) * block_, block_, neighbour(-i));
      send(sent_ + neighbour(i) * block_, block_, neighbour(i));
    }
    if (block_ > 0)
      std::memcpy(received_ + rank() * block_, sent_ + rank() * block_, static_cast<std::size_t>(block_));
    return true;
  }

  const std::byte* sent_;
  std::byte* received_;
  Index block_;
};

/// One rank sends to another; a message from one to the other of which `data` is null receives.
class PairOperation final : public Operation {
 public:
  PairOperation(std::shared_ptr<Group> group, const void* sent, void* received, Index bytes, int peer,
                Location where)
      : Operation{std::move(group), Collective::point_to_point, where},
        sent_{sent},
        received_{received},
        bytes_{bytes},
        peer_{peer} {
    use_tag_of_pairs();
  }

 private:
  bool post(Index round) override {
    if (round > 0) return false;
    if (received_ != nullptr)
      receive(received_, bytes_, peer_);
    else
      send(sent_, bytes_, peer_);
    return true;
  }

  const void* sent_;
  void* received_;
  Index bytes_;
  int peer_;
};

/// A barrier, or what stands before a split. Nobody is done before all have come: in round k every rank tells
/// the one 2^k after it.
class BarrierOperation final : public Operation {
 public:
  BarrierOperation(std::shared_ptr<Group> group, Collective kind, Location where)
      : Operation{std::move(group), kind, where, 1} {
    if (kind == Collective::split) not_counted();  // groups are made once, not for each step
  }

 private:
  bool post(Index round) override {
    const Index distance = Index{1} << round;
    if (distance >= size()) return false;
    receive(&received_, 1, neighbour(-static_cast<int>(distance)));
    send(&sent_, 1, neighbour(static_cast<int>(distance)));
    return true;
  }
  std::byte sent_{}, received_{};
};

/// A call, as ranks compare it before they exchange.
struct CallRecord {
  Index count = 0;
  std::uint64_t bounds = 0;  // a hash of the partition
  int collective = 0, reduction = 0, root = 0, line = 0;
  std::array<char, 8> dtype{};
  std::array<char, 80> file{};

  bool agrees(const CallRecord& other) const {
    return count == other.count && bounds == other.bounds && collective == other.collective &&
           reduction == other.reduction && root == other.root && dtype == other.dtype;
  }
  std::string text() const {
    const char* const names[] = {"", " (sum)", " (max)", " (min)"};
    std::string result = name_of(static_cast<Collective>(collective));
    result += names[reduction];
    if (dtype[0] != '\0') result += " of " + std::to_string(count) + " " + dtype.data();
    if (static_cast<Collective>(collective) == Collective::broadcast)
      result += " from rank " + std::to_string(root);
    return result + at({file.data(), line});
  }
};

/// Throws Error, on every rank, where the calls differ; it names the ranks that differ from most of them.
inline void compare_calls(const std::shared_ptr<Group>& group, const CallRecord& mine, Location where) {
  const auto ranks = static_cast<std::size_t>(group->size);
  std::vector<CallRecord, PoolAllocator<CallRecord>> calls(ranks);
  GatherOperation{group, &mine, calls.data(), Partition{group->size, group->size}, sizeof(CallRecord),
                  false, where}
      .wait();
  std::size_t usual = 0, most = 0;
  for (std::size_t r = 0; r < ranks; ++r) {
    std::size_t like = 0;
    for (const CallRecord& other : calls) like += other.agrees(calls[r]);
    if (like > most) {
      most = like;
      usual = r;
    }
  }
  if (most == ranks) return;
  std::string who, what;
  for (std::size_t r = 0; r < ranks; ++r) {
    if (calls[r].agrees(calls[usual])) continue;
    who += (who.empty() ? "" : "; ") + group->name(static_cast<int>(r)) + " calls " + calls[r].text();
  }
  throw Error("collectives differ: " + who + "; " + group->name(static_cast<int>(usual)) +
              (most > 1 ? " and others call " : " calls ") + calls[usual].text());
}

}  // namespace burrow::detail
