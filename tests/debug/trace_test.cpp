// Trace and DetectAnomaly: observers of operations.
#include <burrow/autodiff/checkpoint.hpp>
#include <burrow/autodiff/forward.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/debug/detect_anomaly.hpp>
#include <burrow/debug/trace.hpp>
#include <burrow/ops/concatenate/concatenate.hpp>
#include <burrow/ops/matmul/matmul.hpp>
#include <burrow/ops/softmax/softmax.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/part.hpp>
#include <catch2/catch.hpp>
#include <sstream>

using namespace burrow;
using Catch::Matchers::StartsWith;

namespace {

std::string listed(const Trace& trace) {
  std::string text;
  for (const TraceEvent& event : trace.events())
    text += (event.backward() ? "<" : "") + event.name + ' ' + event.dtype + ' ' + event.shape + '\n';
  return text;
}

}  // namespace

TEST_CASE("a trace lists untraced operations in order", "[debug]") {
  const auto x = ones<Shape<4, 3>>();
  const auto w = ones<Shape<3, 2>>();
  Trace trace;
  const auto y = softmax(matmul(x + 1, w));
  const Tensor z = sqrt(y * 2);
  const auto total = max<0>(z);
  CHECK(listed(trace) ==
        "operator+ float Shape<4, 3>\n"
        "matmul float Shape<4, 2>\n"
        "softmax float Shape<4, 2>\n"
        "sqrt float Shape<4, 2>\n"
        "max float Shape<2>\n");
  CHECK(trace.events()[1].bytes == 4 * 2 * 4);
}

TEST_CASE("a trace lists what is joined from a list", "[debug]") {
  const std::vector<Tensor<float, Shape<2, 3>>> parts(2, ones<Shape<2, 3>>());
  Trace trace;
  CHECK(stack<0>(parts).shape() == Shape<dyn, 2, 3>{{2, 2, 3}});
  Tape tape;
  tape.backward(sum(concatenate<0>(std::array{tape.watch(parts[0]), tape.watch(parts[1])})));
  CHECK(listed(trace) ==
        "stack float Shape<2, 2, 3>\n"
        "concatenate float Shape<4, 3>\n"
        "sum float Shape<>\n"
        "<sum float Shape<>\n"
        "<concatenate float Shape<4, 3>\n");
}

TEST_CASE("a trace lists the forward and the backward pass", "[debug]") {
  const auto w = ones<Shape<3, 2>>();
  const auto input = ones<Shape<4, 3>>();
  Trace trace;
  Tape tape;
  const auto x = tape.watch(input);
  const auto loss = mean(square(matmul(x, w)));
  tape.backward(loss);
  CHECK(listed(trace) ==
        "matmul float Shape<4, 2>\n"
        "mean float Shape<>\n"
        "<mean float Shape<>\n"
        "<matmul float Shape<4, 2>\n");
  double end = 0;
  for (const TraceEvent& event : trace.events()) {
    CHECK(event.start >= end);
    CHECK(event.duration >= 0);
    end = event.start + event.duration;
  }
}

TEST_CASE("a trace ends with its scope, and nests", "[debug]") {
  const auto x = ones<Shape<3>>();
  Trace outer;
  {
    Trace inner;
    [[maybe_unused]] const Tensor y = exp(x);
    CHECK(inner.events().size() == 1);
    CHECK(outer.events().size() == 1);
  }
  [[maybe_unused]] const Tensor z = exp(x);
  CHECK(outer.events().size() == 2);
  outer.clear();
  CHECK(outer.events().empty());
}

TEST_CASE("a trace writes Chrome's format", "[debug]") {
  const auto x = ones<Shape<3>>();
  Trace trace;
  {
    const Region region{"whole"};
    [[maybe_unused]] const Tensor y = x < 2;
  }
  std::ostringstream chrome;
  trace.write_chrome(chrome);
  const std::string text = chrome.str();
  CHECK(text.rfind("{\"traceEvents\":[\n{\"name\":\"operator<\",\"cat\":\"whole\",\"ph\":\"X\"", 0) == 0);
  CHECK(text.find("\"args\":{\"value\":\"bool Shape<3>\",\"bytes\":3}},\n{\"name\":\"whole\"") !=
        std::string::npos);
  const TraceEvent &inner = trace.events()[0], &outer = trace.events()[1];
  CHECK(outer.start <= inner.start);
  CHECK(inner.start + inner.duration <= outer.start + outer.duration);
  CHECK(outer.own <= outer.duration - inner.duration);
}

TEST_CASE("observation leaves results as they are", "[debug]") {
  const auto run = [] {
    Tape tape;
    const auto x = tape.watch(normal<Shape<5, 7>>(Key{3}));
    tape.backward(sum(checkpoint([](const auto& v) { return materialize(tanh(v)) * v; }, x)));
    return tape.gradient(x);
  };
  const auto alone = run();
  Trace trace;
  const auto observed = run();
  CHECK(sum(alone == observed).item() == 35);
}

TEST_CASE("an anomaly is reported where it first shows", "[debug]") {
  const Tensor<float, Shape<2, 2>> x{1, 2, 0, 4};
  const Tensor y = log(x);  // nobody looks
  CHECK(std::isinf(y(1, 0)));
  const DetectAnomaly detect;
  CHECK_THROWS_WITH(
      materialize(log(x)),
      "detect_anomaly: log gives a NaN or an infinity: element 2 (row-major) of float Shape<2, 2>");
  CHECK_THROWS_WITH(sum(x / 0),
                    "detect_anomaly: sum gives a NaN or an infinity: element 0 (row-major) of float Shape<>");
  CHECK_NOTHROW(materialize(x + 1));
}

TEST_CASE("an anomaly in a gradient names the operation", "[debug]") {
  const DetectAnomaly detect;
  Tape tape;
  const auto x = tape.watch(Tensor<double, Shape<3>>{1, 0, 4});
  const auto root = materialize(sqrt(x));
  const auto loss = sum(root * 2);
  CHECK_THROWS_WITH(tape.backward(loss),
                    "detect_anomaly: the backward pass of sqrt (double Shape<3>) gives a NaN or an infinity: "
                    "element 1 (row-major) of the gradient of an operand of 3 elements");
}

TEST_CASE("what is written in place is told, and looked at", "[debug]") {
  const Tensor<float, Shape<2>> y{1, -1};
  const Tensor<float, Shape<2, 2>> z{1, 2, 3, 4};
  Tensor<float, Shape<2, 2>> x(z + 1);
  Trace trace;
  part(x, 0) = y;
  part(x, whole_axis, 1) += y;
  assign(x, z * 2);
  CHECK(listed(trace) == "part float Shape<2>\npart float Shape<2>\nassign float Shape<2, 2>\n");
  const DetectAnomaly detect;
  CHECK_THROWS_WITH(
      part(x, 1) = sqrt(y),
      "detect_anomaly: part gives a NaN or an infinity: element 1 (row-major) of float Shape<2>");
  CHECK_THROWS_WITH(assign(x, log(z - z)), StartsWith("detect_anomaly: assign gives"));
}

TEST_CASE("a tangent that is no number is an anomaly", "[debug]") {
  const DetectAnomaly detect;
  const Tensor<double, Shape<1>> x{0}, v{1};
  CHECK_THROWS_WITH(jvp([](const auto& t) { return sqrt(t); }, x, v),
                    StartsWith("detect_anomaly: sqrt gives"));
}

TEST_CASE("integers have no anomalies", "[debug]") {
  const DetectAnomaly detect;
  CHECK_NOTHROW(materialize(ones<Shape<3>, std::int32_t>() * 2));
}
