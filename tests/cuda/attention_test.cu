// Attention of float and double on the device against the CPU's.
#include <catch2/catch.hpp>

#include "tests/cuda/attention_cases.hpp"

using namespace attention_test;

TEST_CASE("attention of double, row by row, agrees with the CPU's", "[attention]") {
  for (const Bias bias : {Bias::none, Bias::linear, Bias::relative}) {
    agrees<double>({2, 4, 6, 3, 5, 3}, bias, 1e-12);
    agrees<double>({1, 7, 7, 1, 40, 1}, bias, 1e-12);
  }
  agrees<double>({1, 5, 5, 6, 4, 2}, Bias::none, 1e-12);
}

TEST_CASE("attention of float in tiles agrees with the CPU's", "[attention]") {
  agrees_in_tiles<float>(1e-5);
}

TEST_CASE("few queries of float agree with the CPU's", "[attention]") { agrees_for_few_queries<float>(1e-5); }

TEST_CASE("heads wider than tiles are taken row by row", "[attention]") {
  agrees<float>({1, 5, 6, 1, 136, 1}, Bias::relative, 1e-5);
}

TEST_CASE("attention of nothing is nothing, and its gradients are zero", "[attention]") {
  agrees<float>({0, 5, 5, 1, 8, 1}, Bias::relative, 0);
  agrees<float>({2, 0, 5, 1, 8, 1}, Bias::none, 0);
}

TEST_CASE("memory of attention and its gradients grows with the keys, not with their square", "[attention]") {
  const auto peak = [](Index length) {
    const auto x = operands<float>({1, length, length, 1, 16, 1});
    const auto on_device = x.on<Cuda>();
    const auto dy = to<Cuda>(random<float>(7, x.q.shape()));
    reset_peak_memory<Cuda>();
    const Index before = memory_statistics<Cuda>().bytes_in_use;
    (void)result(on_device, dy, 1, Bias::relative);
    return static_cast<double>(memory_statistics<Cuda>().peak_bytes_in_use - before);
  };
  CHECK(peak(128) < 2.3 * peak(64));  // 64 KiB of scores would be half of it
}

TEST_CASE("operands that begin within 16 bytes are read element by element", "[attention]") {
  const detail::AttentionExtents e{1, 40, 50, 1, 32, 1};
  const auto x = operands<float>({1, 40, 50, 1, 32, 1});
  const auto shifted = [&]<class D>(D) {
    const auto y = x.on<D>();
    Tensor<float, Shape<dyn>, D> room{Shape<dyn>{{1 + x.q.size()}}}, log_sums{Shape<dyn>{{40}}};
    Rows<float, D> out{x.q.shape()};
    float* const q = room.data() + 1;
    copy_bytes(Cpu{}, D{}, q, x.q.data(), x.q.size() * Index{sizeof(float)});
    attention_forward(
        D{}, e,
        detail::AttentionOperands<float>{q, y.k.leaf().data(), y.v.leaf().data(), y.r.leaf().data(),
                                         y.u.leaf().data(), y.w.leaf().data()},
        out.data(), log_sums.data());
    return out;
  };
  CHECK(burrow::distance(shifted(Cuda{}), shifted(Cpu{})) <= 1e-5);
}

TEST_CASE("encodings of distances are the CPU's, bit for bit", "[attention]") {
  CHECK(burrow::distance(sinusoids<16, float, Cuda>(9), sinusoids<16>(9)) == 0);
}
