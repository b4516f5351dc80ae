// Profile: where the time of a computation goes, and how near each part comes to what the machine can do.
#pragma once

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

#include <burrow/debug/operation_timer.hpp>
#include <burrow/debug/peaks.hpp>

namespace burrow {

/// All calls of one operation with values of one shape in one pass, or of one region.
struct ProfileRow {
  const char* name;            ///< of the operation or the region
  const char* pass;            ///< "forward", "backward", or the name of the outermost region
  std::string_view dtype;      ///< of the value
  std::vector<Index> extents;  ///< of the value, or of its gradient in the backward pass
  bool region = false;
  Index calls = 0;
  double seconds = 0;  ///< without the operations within, which have rows of their own
  Work work{};

  std::string value() const {
    return region ? "" : std::string(dtype) + ' ' + detail::shape_text(extents.data(), extents.size());
  }
};

/// Sums up the operations and regions of this thread during its lifetime: `Profile profile; step();
/// std::cout << profile;`. An elementwise expression is one operation, named after its outermost function.
/// Time in parallel loops is the caller's. FLOPs are those of matrix products, attention and convolutions,
/// without what a backward pass computes again; bytes are those of operands and results, each counted once,
/// so a rate above the memory's says that a cache served it.
class Profile final : public detail::OperationTimer {
 public:
  /// Given what `measured_peaks()` returns, rates are also told as shares of it.
  explicit Profile(const Peaks& peaks = {}) : peaks_{peaks} {}

  /// One row for each operation, shape and pass; the longest first.
  std::vector<ProfileRow> rows() const {
    std::vector<ProfileRow> sorted = rows_;
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const ProfileRow& a, const ProfileRow& b) { return a.seconds > b.seconds; });
    return sorted;
  }

  /// Seconds since the profile was made or cleared, without those that profiling took.
  double seconds() const { return elapsed(); }

  /// Forgets what was seen.
  void clear() {
    rows_.clear();
    last_ = none;
    restart();
  }

  /// The rows as a table of at most 112 columns, then the sum of each pass, then what belongs to no row.
  std::string table() const;

 private:
  static constexpr std::size_t none = ~std::size_t{0};

  void timed(const detail::TimedOperation& o) override {
    last_ = row_of(o.name, o.pass, o.dtype, o.extents, o.region);
    last_seconds_ = o.own;
    last_work_ = o.work;
    add(rows_[last_], 1);
  }
  void renamed(const char* name) override {
    if (last_ == none) return;
    const ProfileRow old = rows_[last_];
    if (old.name == name) return;
    add(rows_[last_], -1);
    if (old.calls == 1) rows_.erase(rows_.begin() + static_cast<std::ptrdiff_t>(last_));
    last_ = row_of(name, old.pass, old.dtype, old.extents, old.region);
    add(rows_[last_], 1);
  }

  void add(ProfileRow& row, int count) const {
    row.calls += count;
    row.seconds += count * last_seconds_;
    row.work.flops += count * last_work_.flops;
    row.work.bytes += count * last_work_.bytes;
    row.work.factors = last_work_.factors;
  }

  std::size_t row_of(const char* name, const char* pass, std::string_view dtype,
                     std::span<const Index> extents, bool region) {
    const auto same = [&](const ProfileRow& row) {
      return row.name == std::string_view{name} && row.pass == std::string_view{pass} && row.dtype == dtype &&
             row.region == region && std::ranges::equal(row.extents, extents);
    };
    const auto at = static_cast<std::size_t>(std::find_if(rows_.begin(), rows_.end(), same) - rows_.begin());
    if (at == rows_.size()) rows_.push_back({name, pass, dtype, {extents.begin(), extents.end()}, region});
    return at;
  }

  std::string line(const std::string& pass, const std::string& name, const ProfileRow& row, double all) const;

  Peaks peaks_;
  std::vector<ProfileRow> rows_;
  std::size_t last_ = none;
  double last_seconds_ = 0;
  Work last_work_;
};

namespace detail {

/// "12.3", and "  41%" of the peak; blank where there is none.
inline std::string rate_text(double rate, double peak) {
  char text[32];
  if (!(rate > 0)) return std::string(14, ' ');
  std::snprintf(text, sizeof(text), "  %7.*f", rate < 99.95e9 ? 1 : 0, rate / 1e9);
  std::string result = text;
  if (!(peak > 0)) return result + "     ";
  std::snprintf(text, sizeof(text), " %3.0f%%", std::min(100 * rate / peak, 999.0));
  return result + text;
}

}  // namespace detail

inline std::string Profile::line(const std::string& pass, const std::string& name, const ProfileRow& row,
                                 double all) const {
  char start[160];
  std::snprintf(start, sizeof(start), "%-8.8s  %-20.20s %6lld  %9.3f %5.1f%%", pass.c_str(), name.c_str(),
                static_cast<long long>(row.calls), 1e3 * row.seconds,
                all > 0 ? 100 * row.seconds / all : 0.0);
  std::string text =
      start +
      detail::rate_text(row.work.flops / row.seconds,
                        peaks_.flops(row.work.factors.empty() ? row.dtype : row.work.factors)) +
      detail::rate_text(row.work.bytes / row.seconds, peaks_.stream_bandwidth);
  const std::string value = row.value();
  if (!value.empty()) text += "  " + value;
  text.erase(text.find_last_not_of(' ') + 1);
  return text + '\n';
}

inline std::string Profile::table() const {
  const double all = elapsed();
  std::string text =
      "pass      operation             calls         ms  share  GFLOP/s peak     GB/s peak  value\n";
  std::vector<ProfileRow> passes;
  ProfileRow rest{"", "", "", {}, true};
  rest.seconds = all;
  for (const ProfileRow& row : rows()) {
    text += line(row.pass, row.name, row, all);
    rest.seconds -= row.seconds;
    const auto same = [&](const ProfileRow& p) { return p.pass == std::string_view{row.pass}; };
    auto sum = std::find_if(passes.begin(), passes.end(), same);
    if (sum == passes.end()) sum = passes.insert(passes.end(), {"", row.pass, row.dtype, {}, true});
    if (row.work.flops > 0 && sum->work.flops == 0) {
      sum->dtype = row.dtype;
      sum->work.factors = row.work.factors;
    }
    sum->calls += row.calls;
    sum->seconds += row.seconds;
    sum->work.flops += row.work.flops;
    sum->work.bytes += row.work.bytes;
  }
  text += '\n';
  for (const ProfileRow& pass : passes) text += line(pass.pass, "all", pass, all);
  rest.seconds = std::max(rest.seconds, 0.0);
  return text + line("between", "operations", rest, all);
}

inline std::ostream& operator<<(std::ostream& out, const Profile& profile) { return out << profile.table(); }

}  // namespace burrow
