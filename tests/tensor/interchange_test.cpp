#include <burrow/tensor/indexing.hpp>
#include <burrow/tensor/interchange.hpp>
#include <catch2/catch.hpp>

#include "tests/tensor/reference.hpp"

using namespace burrow;
using namespace reference;

namespace {

/// What std::mdspan offers to readers: a column-major matrix of 3 columns.
struct Columns {
  using value_type = const double;
  const double* data;
  std::size_t rows;

  static constexpr std::size_t rank() { return 2; }
  static constexpr std::size_t static_extent(std::size_t r) { return r == 1 ? 3 : std::size_t(-1); }
  std::size_t extent(std::size_t r) const { return r == 1 ? 3 : rows; }
  std::size_t stride(std::size_t r) const { return r == 1 ? rows : 1; }
  const double* data_handle() const { return data; }
};

}  // namespace

TEST_CASE("Eigen reads and writes tensors in place") {
  auto x = sample<double>(Shape<3, dyn>{{3, 4}}, 1);
  const auto before = x;
  auto map = as_eigen(x);
  static_assert(decltype(map)::RowsAtCompileTime == 3 && decltype(map)::ColsAtCompileTime == Eigen::Dynamic);
  map(1, 2) = 77;
  map.row(0) *= 2;
  CHECK(std::as_const(x)(1, 2) == 77);
  CHECK(std::as_const(x)(0, 3) == 2 * before(0, 3));
  CHECK(before(1, 2) != 77);
  const Tensor<float, Shape<5>> v{1, 2, 3, 4, 5};
  CHECK(as_eigen(v).data() == v.data());
  CHECK(as_eigen(v).dot(as_eigen(v)) == 55);
  const auto column = sample<float>(Shape<4, 1>{}, 1);
  const auto row = sample<float>(Shape<1, 4>{}, 1);
  CHECK((as_eigen(column)(2, 0) == column(2, 0) && as_eigen(row)(0, 2) == row(0, 2)));
}

TEST_CASE("Eigen reads views where they lie") {
  const auto x = sample<float>(Shape<5, 6>{}, 1);
  const auto turned = transpose(x);
  const auto block = view(x, range<0, 4, 2>(), range(1, 6, 2));
  const auto column = at<1>(x, 3);
  const auto thin = view(x, whole_axis, range_of<1>(3));
  const auto wide = broadcast_to<Shape<3, 6>>(at(x, 1));
  const auto agrees = [](const auto& view) {
    const auto map = as_eigen(view);
    const Tensor copy = view;
    bool same = map.size() == copy.size();
    for (Index i = 0; i < map.rows(); ++i)
      for (Index j = 0; j < map.cols(); ++j) same = same && map(i, j) == copy.data()[i * map.cols() + j];
    return same;
  };
  CHECK(agrees(turned));
  CHECK(agrees(block));
  CHECK(agrees(column));
  CHECK(agrees(thin));
  CHECK(agrees(wide));
  CHECK(agrees(x.leaf()));
  const auto reversed = flip(x);
  CHECK_THROWS_AS(as_eigen(reversed), ValueError);
}

TEST_CASE("Matrices of Eigen are operands where they lie") {
  Eigen::Matrix<float, 3, 4> m;  // column-major
  for (int i = 0; i < 12; ++i) m(i / 4, i % 4) = static_cast<float>(i);
  const auto seen = from_eigen(m);
  static_assert(std::same_as<shape_of<decltype(seen)>, Shape<3, 4>>);
  CHECK(seen.data() == m.data());
  CHECK(equal(Tensor(seen + 0), arange<Shape<3, 4>>()));
  m(1, 1) = -1;
  CHECK(seen(1, 1) == -1);
  const Eigen::VectorXd v = Eigen::VectorXd::LinSpaced(5, 0, 4);
  static_assert(std::same_as<shape_of<decltype(from_eigen(v))>, Shape<dyn>>);
  CHECK(from_eigen(v)(3) == 3);
  const auto middle = m.block(1, 1, 2, 2);
  CHECK(from_eigen(middle)(1, 1) == 10);
  const auto sum = from_eigen(m + m);  // a computation of Eigen's gives a tensor
  static_assert(std::same_as<std::remove_const_t<decltype(sum)>, Tensor<float, Shape<3, 4>>>);
  CHECK(sum(2, 3) == 22);
  CHECK(from_eigen(Eigen::Vector3f(1, 2, 3))(2) == 3);
}

TEST_CASE("Views of pointers read foreign memory, and never write it") {
  std::vector<float> memory(12);
  for (std::size_t i = 0; i < 12; ++i) memory[i] = static_cast<float>(i);
  const auto x = view_of(memory.data(), Shape<dyn, 4>{{3, 4}});
  CHECK(x(2, 3) == 11);
  auto shared = materialize(x);
  CHECK(std::as_const(shared).data() == memory.data());
  shared(0, 0) = 5;
  CHECK((memory[0] == 0 && std::as_const(shared)(0, 0) == 5));
  Tensor copy = x;
  copy(0, 1) = 5;
  CHECK(memory[1] == 1);
  const auto columns = view_of(memory.data() + 11, Shape<4, 3>{}, {-1, -4});
  CHECK(equal(Tensor(columns), Tensor<float, Shape<4, 3>>(transpose(flip(x)))));
  CHECK(columns(1, 2) == 2);
  const std::array<double, 6> elements{1, 2, 3, 4, 5, 6};
  const auto matrix = view_of(Columns{elements.data(), 2});
  static_assert(std::same_as<shape_of<decltype(matrix)>, Shape<dyn, 3>>);
  CHECK((matrix(0, 2) == 5 && matrix(1, 0) == 2));
}
