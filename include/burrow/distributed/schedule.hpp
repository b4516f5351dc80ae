// The order in which the ranks of a pipeline compute, as data: 1F1B (Narayanan et al. 2019, PipeDream-Flush)
// and its interleaved form (Narayanan et al. 2021). A schedule can be timed and printed without computing
// anything.
//
//   std::cout << timeline(one_forward_one_backward(2, 4)).text();
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include <burrow/core/error.hpp>
#include <burrow/core/shape.hpp>

namespace burrow {

/// The direction in which a stage is passed.
enum class Pass { forward, backward };

/// A rank takes a micro-batch, number `micro_batch`, through one of its stages.
struct PipelineAction {
  Pass pass;
  Index micro_batch;
  int chunk;  ///< which of the rank's stages, from the input's side
};

/// What every rank does, in order: `actions[rank]`, for `micro_batches` and `chunks` stages of each rank.
/// Stage s is chunk s / ranks of rank s % ranks.
struct PipelineSchedule {
  int ranks = 1, chunks = 1;
  Index micro_batches = 1;
  std::vector<std::vector<PipelineAction>> actions;

  int stages() const { return ranks * chunks; }
  /// The stage that a rank's chunk is.
  int stage(int rank, int chunk) const { return chunk * ranks + rank; }
  /// The most that a rank has in memory of micro-batches whose forward pass it has made, and not yet the
  /// backward pass, where one of them takes size(chunk) in each of its stages.
  template <class Size>
  auto most_in_memory(int rank, const Size& size) const {
    decltype(size(0)) now{}, most{};
    for (const PipelineAction& action : actions[static_cast<std::size_t>(rank)]) {
      if (action.pass == Pass::backward)
        now -= size(action.chunk);
      else
        most = std::max(most, now += size(action.chunk));
    }
    return most;
  }
  /// The most of them, counted by stage.
  Index most_in_memory(int rank) const {
    return most_in_memory(rank, [](int) { return Index{1}; });
  }
};

namespace detail {

inline PipelineSchedule empty_schedule(int ranks, int chunks, Index micro_batches, Location where) {
  if (ranks < 1 || chunks < 1 || micro_batches < 1)
    throw ConfigError("pipeline: " + std::to_string(ranks) + " ranks, " + std::to_string(chunks) +
                      " stages of each and " + std::to_string(micro_batches) +
                      " micro-batches; each is at least one" + at(where));
  return {ranks, chunks, micro_batches,
          std::vector<std::vector<PipelineAction>>(static_cast<std::size_t>(ranks))};
}

/// `total` forward and backward passes, numbered alike: first `ahead` forward ones, then one of each in turn.
template <class Number>
std::vector<PipelineAction> alternating(Index total, Index ahead, const Number& numbered) {
  std::vector<PipelineAction> actions;
  for (Index k = 0; k < total + ahead; ++k) {
    if (k < total) actions.push_back(numbered(Pass::forward, k));
    if (k >= ahead) actions.push_back(numbered(Pass::backward, k - ahead));
  }
  return actions;
}

}  // namespace detail

/// Each rank runs forward until the last one can turn back, then alternates: at most `ranks` micro-batches
/// are in memory. The ranks idle (ranks - 1) / micro_batches of the time that they compute. Throws
/// ConfigError where a number is not positive.
inline PipelineSchedule one_forward_one_backward(int ranks, Index micro_batches,
                                                 Location where = Location::here()) {
  auto schedule = detail::empty_schedule(ranks, 1, micro_batches, where);
  for (int r = 0; r < ranks; ++r)
    schedule.actions[static_cast<std::size_t>(r)] = detail::alternating(
        micro_batches, std::min<Index>(ranks - 1 - r, micro_batches), [](Pass pass, Index k) {
          return PipelineAction{pass, k, 0};
        });
  return schedule;
}

/// Each rank has several stages, `chunks` of them, and takes micro-batches in rounds of `ranks` through one
/// after the other. The ranks idle (ranks - 1) / (chunks micro_batches) of the time that they compute, and
/// send `chunks` times as much. Throws ConfigError where the micro-batches are not a multiple of the ranks.
inline PipelineSchedule interleaved(int ranks, int chunks, Index micro_batches,
                                    Location where = Location::here()) {
  auto schedule = detail::empty_schedule(ranks, chunks, micro_batches, where);
  if (micro_batches % ranks != 0)
    throw ConfigError("pipeline: interleaved stages take micro-batches in rounds of " +
                      std::to_string(ranks) + ", of which " + std::to_string(micro_batches) +
                      " is not a multiple" + at(where));
  const Index total = micro_batches * chunks, round = Index{ranks} * chunks;
  const auto numbered = [&](Pass pass, Index k) {
    const int chunk = static_cast<int>(k % round / ranks);
    return PipelineAction{pass, k / round * ranks + k % ranks,
                          pass == Pass::forward ? chunk : chunks - 1 - chunk};
  };
  for (int r = 0; r < ranks; ++r) {
    const Index ahead = 2 * Index{ranks - 1 - r} + Index{chunks - 1} * ranks;
    schedule.actions[static_cast<std::size_t>(r)] =
        detail::alternating(total, std::min(ahead, total), numbered);
  }
  return schedule;
}

/// One forward, one backward, or with several chunks the interleaved form. Throws ConfigError as these do.
inline PipelineSchedule pipeline_schedule(int ranks, int chunks, Index micro_batches) {
  return chunks == 1 ? one_forward_one_backward(ranks, micro_batches)
                     : interleaved(ranks, chunks, micro_batches);
}

/// When every action of a schedule begins, where stages compute alike and nothing else takes time.
struct PipelineTimeline {
  PipelineSchedule schedule;
  Index forward, backward;  ///< what a pass takes
  std::vector<std::vector<Index>> begins;
  Index length = 0;  ///< when the last action ends

  /// What a pass takes.
  Index duration(Pass pass) const { return pass == Pass::forward ? forward : backward; }
  /// Idle time over the time in which a rank computes.
  double bubble() const {
    const Index busy = schedule.micro_batches * schedule.chunks * (forward + backward);
    return static_cast<double>(length - busy) / static_cast<double>(busy);
  }
  /// A line for each rank, a column for each unit of time: micro-batches as digits and letters, those of
  /// backward passes underlined by a line below, dots where it waits.
  std::string text() const;
};

namespace detail {

/// When the actions of each rank begin, and when all have ended.
template <class Time>
struct ActionTimes {
  std::vector<std::vector<Time>> begins;
  Time length{};
};

/// The times of a schedule whose passes take duration(pass, stage). Throws Error where ranks wait for each
/// other without end.
template <class Duration>
auto action_times(const PipelineSchedule& schedule, const Duration& duration) {
  using Time = decltype(duration(Pass::forward, 0));
  const auto stages = static_cast<std::size_t>(schedule.stages());
  const auto count = static_cast<std::size_t>(schedule.micro_batches);
  constexpr Time never = -1;
  // When passes of a stage end: [pass][stage][micro-batch].
  std::array<std::vector<Time>, 2> ends{std::vector<Time>(stages * count, never),
                                        std::vector<Time>(stages * count, never)};
  ActionTimes<Time> times;
  times.begins.resize(schedule.actions.size());
  std::vector<Time> free(schedule.actions.size(), 0);
  const auto end_of = [&](Pass pass, std::size_t stage, Index m) -> Time& {
    return ends[static_cast<std::size_t>(pass)][stage * count + static_cast<std::size_t>(m)];
  };
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t r = 0; r < schedule.actions.size(); ++r)
      while (times.begins[r].size() < schedule.actions[r].size()) {
        const PipelineAction& a = schedule.actions[r][times.begins[r].size()];
        const auto s = static_cast<std::size_t>(schedule.stage(static_cast<int>(r), a.chunk));
        Time needed;
        if (a.pass == Pass::forward)
          needed = s == 0 ? 0 : end_of(Pass::forward, s - 1, a.micro_batch);
        else
          needed = s + 1 == stages ? end_of(Pass::forward, s, a.micro_batch)
                                   : end_of(Pass::backward, s + 1, a.micro_batch);
        if (needed == never) break;
        const Time begin = std::max(needed, free[r]);
        times.begins[r].push_back(begin);
        end_of(a.pass, s, a.micro_batch) = free[r] = begin + duration(a.pass, static_cast<int>(s));
        moved = true;
      }
  }
  for (std::size_t r = 0; r < schedule.actions.size(); ++r) {
    if (times.begins[r].size() < schedule.actions[r].size())
      throw Error("pipeline: with this schedule rank " + std::to_string(r) + " waits without end");
    times.length = std::max(times.length, free[r]);
  }
  return times;
}

}  // namespace detail

/// Throws Error where ranks wait for each other without end.
inline PipelineTimeline timeline(const PipelineSchedule& schedule, Index forward = 1, Index backward = 2) {
  PipelineTimeline line{schedule, forward, backward, {}};
  auto times = detail::action_times(schedule, [&](Pass pass, int) { return line.duration(pass); });
  line.begins = std::move(times.begins);
  line.length = times.length;
  return line;
}

/// The time from a schedule's first action to its last, where a forward pass of stage s takes forward[s] and
/// a backward pass backward[s]. Throws Error where ranks wait for each other without end.
inline double schedule_length(const PipelineSchedule& schedule, std::span<const double> forward,
                              std::span<const double> backward) {
  return detail::action_times(
             schedule,
             [&](Pass pass, int stage) {
               return (pass == Pass::forward ? forward : backward)[static_cast<std::size_t>(stage)];
             })
      .length;
}

inline std::string PipelineTimeline::text() const {
  constexpr std::string_view digits = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::string result;
  for (std::size_t r = 0; r < begins.size(); ++r) {
    std::string batches(static_cast<std::size_t>(length), '.'), passes(batches.size(), ' ');
    for (std::size_t i = 0; i < begins[r].size(); ++i) {
      const PipelineAction& a = schedule.actions[r][i];
      for (Index t = begins[r][i]; t < begins[r][i] + duration(a.pass); ++t) {
        const auto at = static_cast<std::size_t>(t);
        batches[at] = digits[static_cast<std::size_t>(a.micro_batch) % digits.size()];
        if (a.pass == Pass::backward) passes[at] = '-';
      }
    }
    result += "rank " + std::to_string(r) + "  " + batches + "\n";
    const std::size_t last = passes.find_last_not_of(' ');
    result += (last == passes.npos ? "" : "        " + passes.substr(0, last + 1)) + "\n";
  }
  return result;
}

}  // namespace burrow
