// Lesson 14: optimization of a plain function. Rosenbrock's valley in ten dimensions, by its gradient, and by
// Newton's method from products with its Hessian, which is never stored.
#include <iostream>

#include <burrow/burrow.hpp>

using namespace burrow;

using Point = Tensor<double, Shape<10>>;

/// sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2, with the minimum 0 at (1, ..., 1).
constexpr auto rosenbrock = [](const auto& x) {
  const auto here = slice<0, 9>(x, 0), next = slice<0, 9>(x, 1);
  return sum(100 * square(next - square(here)) + square(1 - here));
};

double dot(const Point& a, const Point& b) { return sum(a * b).item(); }

/// Halves the step until the function falls enough (Armijo).
Point line_search(const Point& x, const Point& direction, double value, double slope) {
  double step = 1;
  while (step > 1e-20 && rosenbrock(x + step * direction).item() > value + 1e-4 * step * slope) step /= 2;
  return x + step * direction;
}

/// An approximate solution d of H d = -g by conjugate gradients. H d costs about two gradients.
Point newton_direction(const Point& x, const Point& g) {
  Point d = zeros<Shape<10>, double>(), residual = -g, along = residual;
  const double enough = std::min(0.5, std::sqrt(norm(g).item())) * norm(g).item();
  while (norm(residual).item() > enough) {
    const Point curved = hvp(rosenbrock, x, along);
    const double curvature = dot(along, curved);
    if (curvature <= 0) return dot(d, d) > 0 ? d : Point(-g);  // the function is not convex here
    const double before = dot(residual, residual), step = before / curvature;
    d = d + step * along;
    residual = residual - step * curved;
    along = residual + dot(residual, residual) / before * along;
  }
  return d;
}

/// Steps to where the function is below 1e-12, at most 2000.
int minimize(const auto& choose_direction) {
  Point x = zeros<Shape<10>, double>();
  int steps = 0;
  for (; steps < 2000; ++steps) {
    const auto [value, g] = value_and_grad(rosenbrock, x);
    if (value < 1e-12) break;
    const Point direction = choose_direction(x, g);
    x = line_search(x, direction, value, dot(direction, g));
  }
  return steps;
}

int main() {
  const int by_gradient = minimize([](const Point&, const Point& g) { return -g; });
  const int by_newton = minimize(newton_direction);
  std::cout << std::boolalpha << "gradient descent is there in 2000 steps: " << (by_gradient < 2000) << '\n'
            << "Newton's method is there in 100: " << (by_newton <= 100) << '\n';

  // In two dimensions the Hessian can be looked at: a valley a thousand times steeper across than along.
  const auto f = [](const auto& x) {
    const auto a = slice<0, 1>(x, 0), b = slice<0, 1>(x, 1);
    return sum(100 * square(b - square(a)) + square(1 - a));
  };
  std::cout << "Hessian at the minimum\n" << hessian(f, Tensor<double, Shape<2>>{1, 1}) << '\n';
}

// Output:
// gradient descent is there in 2000 steps: false
// Newton's method is there in 100: true
// Hessian at the minimum
// [[ 802, -400],
//  [-400,  200]]
