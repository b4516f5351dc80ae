// What ranks will send, counted before they do: the numbers that their communicators count afterwards
// (Traffic), of all ranks of a group together.
#pragma once

#include <burrow/distributed/communicator.hpp>

namespace burrow {

/// Calls of exchanges that all ranks make together, and the bytes that leave them, by collective.
class PlannedTraffic {
 public:
  /// What is sent by exchanges of one kind: `calls` of all ranks, and the `bytes` that leave them.
  struct Count {
    Index calls = 0, bytes = 0;

    Count& operator+=(const Count& other) {
      calls += other.calls;
      bytes += other.bytes;
      return *this;
    }
    friend bool operator==(const Count&, const Count&) = default;
  };

  /// `times` exchanges among a group of `ranks`, of which the whole buffers have `bytes` together: the values
  /// that are reduced by all, or the parts of all ranks. A message of a pair is sent once, by two calls;
  /// nothing is sent by one rank alone.
  void add(Collective collective, int ranks, Index bytes, Index times = 1) {
    if (ranks == 1) return;
    Count& count = counts_[static_cast<std::size_t>(collective)];
    if (collective == Collective::point_to_point)
      count += {2 * times, bytes};
    else
      count += {ranks * times, (collective == Collective::all_reduce ? 2 : 1) * (ranks - 1) * bytes};
  }
  PlannedTraffic& operator+=(const PlannedTraffic& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    return *this;
  }

  /// That so many times.
  friend PlannedTraffic operator*(Index times, PlannedTraffic once) {
    for (Count& count : once.counts_) count = {times * count.calls, times * count.bytes};
    return once;
  }

  const Count& operator[](Collective c) const { return counts_[static_cast<std::size_t>(c)]; }
  Count total() const {
    Count sum;
    for (const Count& count : counts_) sum += count;
    return sum;
  }

 private:
  std::array<Count, collective_count> counts_{};
};

/// What the ranks of a pipeline, `chunks` stages on each, send in one passage of all micro-batches, as
/// `Pipeline::accumulate`: hidden values, which have `hidden_bytes` for all micro-batches together, forward
/// and their gradients back; the gradient of `tied_bytes` that the first and the last rank both have; the
/// loss.
inline PlannedTraffic pipeline_traffic(int ranks, int chunks, Index micro_batches, Index hidden_bytes,
                                       Index tied_bytes) {
  PlannedTraffic sent;
  if (ranks == 1) return sent;
  const Index ways = 2 * (Index{ranks} * chunks - 1);
  sent.add(Collective::point_to_point, 2, ways * hidden_bytes, ways * micro_batches);
  if (tied_bytes > 0) sent.add(Collective::all_reduce, 2, tied_bytes);
  sent.add(Collective::all_reduce, ranks, Index{sizeof(double)});
  return sent;
}

}  // namespace burrow
