// Fused expressions of fp32 values on one thread: burrow, Eigen, xtensor (where its headers are found) and
// loops as one writes them down. Each result is assigned to memory that is there, but burrow's, which comes
// from its pool. benchmarks/compare compiles and runs this program; it prints a table of Markdown.
#include <Eigen/Core>
#include <cmath>
#include <cstdio>
#include <vector>

#include <burrow/autodiff/reduce.hpp>
#include <burrow/core/parallel.hpp>
#include <burrow/tensor/create.hpp>

#if __has_include(<xtensor/xtensor.hpp>)
#define WITH_XTENSOR 1
#include <xtensor/xmath.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xtensor.hpp>
#endif

#include "benchmarks/side_by_side.hpp"

namespace {

using benchmarks::seconds;
using burrow::dyn;
using burrow::Index;

constexpr Index columns = 512;
using Matrix = burrow::Tensor<float, burrow::Shape<dyn, columns>>;
using Row = burrow::Tensor<float, burrow::Shape<columns>>;
using Array = Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Line = Eigen::Array<float, 1, Eigen::Dynamic>;

// Memory that the compiler must believe is read.
void use(const float* values) { asm volatile("" : : "r"(values) : "memory"); }

struct Data {
  explicit Data(Index rows)
      : x(burrow::normal<burrow::Shape<dyn, columns>>(burrow::Key{1},
                                                      burrow::Shape<dyn, columns>{{rows, columns}})),
        y(burrow::normal<burrow::Shape<dyn, columns>>(burrow::Key{2},
                                                      burrow::Shape<dyn, columns>{{rows, columns}})),
        bias(burrow::normal<burrow::Shape<columns>>(burrow::Key{3})),
        out(rows, columns),
        loop_out(static_cast<std::size_t>(rows * columns)) {
    ex = Eigen::Map<const Array>(std::as_const(x).data(), rows, columns);
    ey = Eigen::Map<const Array>(std::as_const(y).data(), rows, columns);
    ebias = Eigen::Map<const Line>(std::as_const(bias).data(), columns);
#ifdef WITH_XTENSOR
    const std::array<std::size_t, 2> shape{static_cast<std::size_t>(rows), columns};
    xx = xt::xtensor<float, 2>(shape), xy = xx, xout = xx;
    std::copy_n(std::as_const(x).data(), x.shape().size(), xx.data());
    std::copy_n(std::as_const(y).data(), y.shape().size(), xy.data());
    xbias = xt::xtensor<float, 1>(std::array<std::size_t, 1>{columns});
    std::copy_n(std::as_const(bias).data(), columns, xbias.data());
#endif
  }

  Matrix x, y;
  Row bias;
  Array ex, ey, out;
  Line ebias;
  std::vector<float> loop_out;
#ifdef WITH_XTENSOR
  xt::xtensor<float, 2> xx, xy, xout;
  xt::xtensor<float, 1> xbias;
#endif
};

// One formula in the words of each library. `row(b)` repeats b over all rows.
struct Affine {
  static constexpr const char* text = "`2x + y`";
  static auto burrow(const Data& d) { return d.x * 2.0f + d.y; }
  static auto eigen(const Data& d) { return d.ex * 2.0f + d.ey; }
#ifdef WITH_XTENSOR
  static auto xtensor(const Data& d) { return d.xx * 2.0f + d.xy; }
#endif
  static float one(float x, float y, float) { return x * 2.0f + y; }
};
struct Hypotenuse {
  static constexpr const char* text = "`sqrt(x*x + y*y)`";
  static auto burrow(const Data& d) { return sqrt(d.x * d.x + d.y * d.y); }
  static auto eigen(const Data& d) { return (d.ex * d.ex + d.ey * d.ey).sqrt(); }
#ifdef WITH_XTENSOR
  static auto xtensor(const Data& d) { return xt::sqrt(d.xx * d.xx + d.xy * d.xy); }
#endif
  static float one(float x, float y, float) { return std::sqrt(x * x + y * y); }
};
struct BiasTanh {
  static constexpr const char* text = "`tanh(x + bias)`";
  static auto burrow(const Data& d) { return tanh(d.x + d.bias); }
  static auto eigen(const Data& d) { return (d.ex.rowwise() + d.ebias).tanh(); }
#ifdef WITH_XTENSOR
  static auto xtensor(const Data& d) { return xt::tanh(d.xx + d.xbias); }
#endif
  static float one(float x, float, float bias) { return std::tanh(x + bias); }
};
struct Gate {
  static constexpr const char* text = "`x * y / (1 + exp(-y))`";
  static auto burrow(const Data& d) { return d.x * d.y / (1.0f + exp(-d.y)); }
  static auto eigen(const Data& d) { return d.ex * d.ey / (1.0f + (-d.ey).exp()); }
#ifdef WITH_XTENSOR
  static auto xtensor(const Data& d) { return d.xx * d.xy / (1.0f + xt::exp(-d.xy)); }
#endif
  static float one(float x, float y, float) { return x * y / (1.0f + std::exp(-y)); }
};

template <class Formula>
void loop(Data& d) {
  const float *x = std::as_const(d.x).data(), *y = std::as_const(d.y).data();
  const float* bias = std::as_const(d.bias).data();
  float* out = d.loop_out.data();
  const Index rows = d.x.shape()[0];
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j)
      out[i * columns + j] = Formula::one(x[i * columns + j], y[i * columns + j], bias[j]);
}

template <class Formula>
void row(const char* place, Index rows) {
  Data d(rows);
  const auto ours = [&] {
    return seconds([&] {
      const Matrix result(Formula::burrow(d));
      use(result.data());
    });
  };
  const auto against = [&](const auto& other) {
    const auto times = benchmarks::side_by_side(ours, other, 21);
    return times.second / times.first;
  };
  const double eigen = against([&] {
    return seconds([&] {
      d.out = Formula::eigen(d);
      use(d.out.data());
    });
  });
  const double loops = against([&] {
    return seconds([&] {
      loop<Formula>(d);
      use(d.loop_out.data());
    });
  });
  std::printf("| %s, %s | %.2f | %.2f | ", Formula::text, place, eigen, loops);
#ifdef WITH_XTENSOR
  std::printf("%.2f |\n", against([&] {
                return seconds([&] {
                  xt::noalias(d.xout) = Formula::xtensor(d);
                  use(d.xout.data());
                });
              }));
#else
  std::printf("not found |\n");
#endif
  std::fflush(stdout);
}

template <class Formula>
void rows() {
  row<Formula>("second cache", 128);  // 256 KiB each
  row<Formula>("memory", 32768);      // 64 MiB each
}

}  // namespace

int main() {
  burrow::set_threads(1);
  std::printf("| time of, burrow = 1 | Eigen | loops | xtensor |\n|---|---|---|---|\n");
  rows<Affine>();
  rows<Hypotenuse>();
  rows<BiasTanh>();
  rows<Gate>();
}
