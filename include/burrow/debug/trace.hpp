// Trace: what was computed, in which order, with which shapes, and when; also as a file for the viewers of
// Chrome traces. `Profile` sums it up.
#pragma once

#include <cstdio>
#include <ostream>
#include <string>
#include <vector>

#include <burrow/debug/operation_timer.hpp>

namespace burrow {

/// One operation or region of a trace. Times are in seconds; `duration` has all that is within; `start`
/// counts from the making of the trace.
struct TraceEvent {
  std::string name;   ///< of the operation or the region
  std::string pass;   ///< "forward", "backward", or the name of the outermost region
  std::string dtype;  ///< of the value, or of its gradient in the backward pass
  std::string shape;  ///< likewise
  Index bytes = 0;    ///< likewise
  double start = 0, duration = 0;
  double own = 0;  ///< of `duration`, without the operations within, which have events of their own

  bool backward() const { return pass == "backward"; }
};

/// Lists the operations of this thread during its lifetime, in the order in which they end: `Trace trace;
/// step(); trace.write_chrome(file);`. An elementwise expression is one operation, named after its outermost
/// function.
class Trace final : public detail::OperationTimer {
 public:
  Trace() = default;

  const std::vector<TraceEvent>& events() const { return events_; }
  void clear() { events_.clear(); }

  /// The events as JSON that chrome://tracing and Perfetto read.
  void write_chrome(std::ostream& out) const;

 private:
  void timed(const detail::TimedOperation& o) override {
    const std::string shape = o.region ? "" : detail::shape_text(o.extents.data(), o.extents.size());
    events_.push_back(
        {o.name, o.pass, std::string(o.dtype), shape, o.bytes, o.start, o.end - o.start, o.own});
  }
  void renamed(const char* name) override {
    if (!events_.empty()) events_.back().name = name;
  }

  std::vector<TraceEvent> events_;
};

namespace detail {

inline std::string json_quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return quoted + '"';
}

}  // namespace detail

inline void Trace::write_chrome(std::ostream& out) const {
  const auto microseconds = [](double seconds) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.3f", 1e6 * seconds);
    return std::string(text);
  };
  out << "{\"traceEvents\":[";
  const char* separator = "\n";
  for (const TraceEvent& event : events_) {
    out << separator << "{\"name\":" << detail::json_quoted(event.name)
        << ",\"cat\":" << detail::json_quoted(event.pass)
        << ",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":" << microseconds(event.start)
        << ",\"dur\":" << microseconds(event.duration)
        << ",\"args\":{\"value\":" << detail::json_quoted(event.dtype + ' ' + event.shape)
        << ",\"bytes\":" << event.bytes << "}}";
    separator = ",\n";
  }
  out << "\n]}\n";
}

}  // namespace burrow
