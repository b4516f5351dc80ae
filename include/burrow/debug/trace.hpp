// Trace: what was computed, in which order, with which shapes, and how long it took; as a table, or as a file
// for the viewers of Chrome traces.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

#include <burrow/core/observe.hpp>

namespace burrow {

/// One operation of a trace. Times are in seconds; `start` counts from the making of the trace. Evaluations
/// within an operation have events of their own, whose time is not in `duration`.
struct TraceEvent {
  std::string name;
  bool backward = false;
  std::string dtype, shape;  ///< of the value, or of its gradient in the backward pass
  Index bytes = 0;           ///< likewise
  double start = 0, duration = 0;
};

/// Lists the operations of this thread during its lifetime:
/// `Trace trace; step(); std::cout << trace;`. An elementwise expression is one operation, named after its
/// outermost function.
class Trace : public Observer {
 public:
  Trace() = default;

  const std::vector<TraceEvent>& events() const { return events_; }
  void clear() { events_.clear(); }

  void begins() override { mark_ = now(); }

  void finishes(const ObservedOperation& operation) override {
    const double end = now();
    // A traced reduction is told of twice: as a loop, then as what is recorded.
    if (!operation.backward && !events_.empty() && operation.storage && last_ &&
        operation.storage.data() == last_.data()) {
      events_.back().name = operation.name;
      return;
    }
    last_ = operation.storage;
    events_.push_back({operation.name, operation.backward, std::string(operation.dtype), operation.shape(),
                       operation.bytes, mark_, end - mark_});
    mark_ = now();
  }

  /// One line for each operation, shape and direction, with the longest first.
  std::string table() const;

  /// The events as JSON that chrome://tracing and Perfetto read.
  void write_chrome(std::ostream& out) const;

 private:
  using Clock = std::chrono::steady_clock;
  double now() const { return std::chrono::duration<double>(Clock::now() - origin_).count(); }

  Clock::time_point origin_ = Clock::now();
  double mark_ = 0;
  Storage last_;  // held, so that its address names this value only
  std::vector<TraceEvent> events_;
};

namespace detail {

struct TraceTotal {
  const TraceEvent* first;
  Index count = 0;
  double duration = 0;
};

inline std::vector<TraceTotal> trace_totals(const std::vector<TraceEvent>& events) {
  std::vector<TraceTotal> totals;
  for (const TraceEvent& event : events) {
    const auto same = [&](const TraceTotal& t) {
      return t.first->name == event.name && t.first->backward == event.backward &&
             t.first->shape == event.shape && t.first->dtype == event.dtype;
    };
    auto total = std::find_if(totals.begin(), totals.end(), same);
    if (total == totals.end()) total = totals.insert(totals.end(), {&event});
    ++total->count;
    total->duration += event.duration;
  }
  std::stable_sort(totals.begin(), totals.end(),
                   [](const TraceTotal& a, const TraceTotal& b) { return a.duration > b.duration; });
  return totals;
}

inline std::string json_quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return quoted + '"';
}

}  // namespace detail

inline std::string Trace::table() const {
  double all_time = 0;
  for (const TraceEvent& event : events_) all_time += event.duration;
  std::string text = "      ms  share  count  pass      operation         value\n";
  for (const auto& total : detail::trace_totals(events_)) {
    char line[120];
    std::snprintf(line, sizeof(line), "%8.3f  %4.0f%%  %5lld  %-8s  %-16s  ", 1e3 * total.duration,
                  all_time > 0 ? 100 * total.duration / all_time : 0.0, static_cast<long long>(total.count),
                  total.first->backward ? "backward" : "forward", total.first->name.c_str());
    text += line + total.first->dtype + ' ' + total.first->shape + '\n';
  }
  return text;
}

inline void Trace::write_chrome(std::ostream& out) const {
  const auto microseconds = [](double seconds) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.3f", 1e6 * seconds);
    return std::string(text);
  };
  out << "{\"traceEvents\":[";
  const char* separator = "\n";
  for (const TraceEvent& event : events_) {
    out << separator << "{\"name\":" << detail::json_quoted(event.name) << ",\"cat\":\""
        << (event.backward ? "backward" : "forward")
        << "\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":" << microseconds(event.start)
        << ",\"dur\":" << microseconds(event.duration)
        << ",\"args\":{\"value\":" << detail::json_quoted(event.dtype + ' ' + event.shape)
        << ",\"bytes\":" << event.bytes << "}}";
    separator = ",\n";
  }
  out << "\n]}\n";
}

inline std::ostream& operator<<(std::ostream& out, const Trace& trace) { return out << trace.table(); }

}  // namespace burrow
