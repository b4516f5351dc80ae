#include "gopher_model/training/batch_schedule.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "gopher_model/model/nearest_name.hpp"

namespace gopher {
namespace {

template <class Number>
bool reads(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

constexpr Index ceiling_quotient(Index a, Index b) { return (a + b - 1) / b; }

Index earlier(Index a, Index b) { return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b); }

// The steps before the ramp in a run of `steps` steps, when they take the fraction `at` of all tokens.
Index steps_before_ramp(const BatchRamp& ramp, Index steps) {
  const double factor = static_cast<double>(ramp.factor);
  const double share = ramp.at * factor / (1 - ramp.at + ramp.at * factor);
  return std::llround(share * static_cast<double>(steps));
}

}  // namespace

BatchRamp parse_batch_ramp(std::string_view text) {
  if (text.empty()) return {};
  BatchRamp ramp;
  const std::size_t colon = text.find(':');
  const bool read = colon != text.npos && reads(text.substr(0, colon), ramp.at) &&
                    reads(text.substr(colon + 1), ramp.factor);
  if (!read || !(ramp.at > 0 && ramp.at < 1) || ramp.factor < 2 || ramp.factor > 16) {
    throw ConfigError(
        "a batch ramp is FRACTION:FACTOR with a fraction between 0 and 1 and a factor from 2 to 16, such as "
        "0.5:2, not " +
        quoted_name(text) + ".");
  }
  return ramp;
}

BatchSchedule batch_schedule(const RunConfiguration& c) {
  const BatchRamp ramp = parse_batch_ramp(c.batch_ramp);
  BatchSchedule schedule{.first_batch = c.batch_tokens, .second_batch = c.batch_tokens * ramp.factor};
  if (c.tokens == 0) {
    schedule.steps = c.steps;
    schedule.ramp_step = ramp.factor > 1 ? steps_before_ramp(ramp, c.steps) : c.steps;
    return schedule;
  }
  const auto before = static_cast<Index>(std::ceil(ramp.at * static_cast<double>(c.tokens)));
  schedule.ramp_step = ceiling_quotient(before, c.batch_tokens);
  const Index remaining = std::max<Index>(0, c.tokens - schedule.ramp_step * c.batch_tokens);
  schedule.steps = earlier(c.steps, schedule.ramp_step + ceiling_quotient(remaining, schedule.second_batch));
  return schedule;
}

}  // namespace gopher
