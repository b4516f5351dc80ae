// Dual numbers over packets: a value with K tangents. They find the derivatives of functions that state none.
#pragma once

#include <array>
#include <tuple>
#include <utility>

#include <burrow/tensor/elementary_functors.hpp>

namespace burrow {

/// A packet v and its derivatives d with respect to K arguments.
template <class P, int K>
struct Dual {
  using value_type = typename P::value_type;
  P v;
  std::array<P, static_cast<std::size_t>(K)> d;

  Dual() = default;
  constexpr Dual(value_type constant) : v{constant} { d.fill(P(value_type(0))); }
  constexpr Dual(P value, const std::array<P, static_cast<std::size_t>(K)>& tangents)
      : v{value}, d{tangents} {}

  friend constexpr Dual operator+(const Dual& a, const Dual& b) { return combine(functors::Add{}, a, b); }
  friend constexpr Dual operator-(const Dual& a, const Dual& b) {
    return combine(functors::Subtract{}, a, b);
  }
  friend constexpr Dual operator*(const Dual& a, const Dual& b) {
    return combine(functors::Multiply{}, a, b);
  }
  friend constexpr Dual operator/(const Dual& a, const Dual& b) { return combine(functors::Divide{}, a, b); }
  friend constexpr Dual operator-(const Dual& a) { return combine(functors::Negate{}, a); }
  friend constexpr auto operator<(const Dual& a, const Dual& b) { return a.v < b.v; }
  friend constexpr auto operator<=(const Dual& a, const Dual& b) { return a.v <= b.v; }
  friend constexpr auto operator>(const Dual& a, const Dual& b) { return b.v < a.v; }
  friend constexpr auto operator>=(const Dual& a, const Dual& b) { return b.v <= a.v; }
  friend constexpr auto operator==(const Dual& a, const Dual& b) { return a.v == b.v; }
  friend constexpr auto operator!=(const Dual& a, const Dual& b) { return a.v != b.v; }

  /// f(x...) by the chain rule, from the functor's own derivatives.
  template <class F, class... X>
  static constexpr Dual combine(F f, const X&... x) {
    const P y = f(x.v...);
    return chain(y, F::derivatives(x.v..., y), std::index_sequence_for<X...>{}, x...);
  }

 private:
  template <class Derivatives, std::size_t... I, class... X>
  static constexpr Dual chain(P y, const Derivatives& slopes, std::index_sequence<I...>, const X&... x) {
    Dual result{y, {}};
    for (std::size_t k = 0; k < static_cast<std::size_t>(K); ++k) {
      P sum(value_type(0));
      ((sum = sum + std::get<I>(slopes) * x.d[k]), ...);
      result.d[k] = sum;
    }
    return result;
  }
};

template <class M, class P, int K>
constexpr Dual<P, K> select(M mask, const Dual<P, K>& a, const Dual<P, K>& b) {
  Dual<P, K> result{select(mask, a.v, b.v), {}};
  for (std::size_t k = 0; k < static_cast<std::size_t>(K); ++k) result.d[k] = select(mask, a.d[k], b.d[k]);
  return result;
}
template <class P, int K>
constexpr Dual<P, K> maximum(const Dual<P, K>& a, const Dual<P, K>& b) {
  return Dual<P, K>::combine(functors::Maximum{}, a, b);
}
template <class P, int K>
constexpr Dual<P, K> minimum(const Dual<P, K>& a, const Dual<P, K>& b) {
  return Dual<P, K>::combine(functors::Minimum{}, a, b);
}
template <class P, int K>
constexpr Dual<P, K> pow(const Dual<P, K>& a, const Dual<P, K>& b) {
  return Dual<P, K>::combine(functors::Power{}, a, b);
}
template <class P, int K>
constexpr Dual<P, K> atan2(const Dual<P, K>& a, const Dual<P, K>& b) {
  return Dual<P, K>::combine(functors::Atan2{}, a, b);
}
template <class P, int K>
constexpr Dual<P, K> hypot(const Dual<P, K>& a, const Dual<P, K>& b) {
  return Dual<P, K>::combine(functors::Hypot{}, a, b);
}
template <class P, int K>
constexpr Dual<P, K> fmod(const Dual<P, K>& a, const Dual<P, K>& b) {
  return Dual<P, K>::combine(functors::Fmod{}, a, b);
}
template <class P, int K>
constexpr Dual<P, K> remainder(const Dual<P, K>& a, const Dual<P, K>& b) {
  return Dual<P, K>::combine(functors::Remainder{}, a, b);
}
template <class P, int K>
constexpr Dual<P, K> floor_divide(const Dual<P, K>& a, const Dual<P, K>& b) {
  return Dual<P, K>::combine(functors::FloorDivide{}, a, b);
}
template <class P, int K>
constexpr Dual<P, K> exp(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Exp{}, x);
}
template <class P, int K>
constexpr Dual<P, K> exp2(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Exp2{}, x);
}
template <class P, int K>
constexpr Dual<P, K> expm1(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Expm1{}, x);
}
template <class P, int K>
constexpr Dual<P, K> log(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Log{}, x);
}
template <class P, int K>
constexpr Dual<P, K> log2(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Log2{}, x);
}
template <class P, int K>
constexpr Dual<P, K> log10(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Log10{}, x);
}
template <class P, int K>
constexpr Dual<P, K> log1p(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Log1p{}, x);
}
template <class P, int K>
constexpr Dual<P, K> sqrt(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Sqrt{}, x);
}
template <class P, int K>
constexpr Dual<P, K> cbrt(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Cbrt{}, x);
}
template <class P, int K>
constexpr Dual<P, K> abs(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Abs{}, x);
}
template <class P, int K>
constexpr Dual<P, K> sign(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Sign{}, x);
}
template <class P, int K>
constexpr Dual<P, K> sin(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Sin{}, x);
}
template <class P, int K>
constexpr Dual<P, K> cos(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Cos{}, x);
}
template <class P, int K>
constexpr Dual<P, K> tan(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Tan{}, x);
}
template <class P, int K>
constexpr Dual<P, K> asin(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Asin{}, x);
}
template <class P, int K>
constexpr Dual<P, K> acos(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Acos{}, x);
}
template <class P, int K>
constexpr Dual<P, K> atan(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Atan{}, x);
}
template <class P, int K>
constexpr Dual<P, K> sinh(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Sinh{}, x);
}
template <class P, int K>
constexpr Dual<P, K> cosh(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Cosh{}, x);
}
template <class P, int K>
constexpr Dual<P, K> tanh(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Tanh{}, x);
}
template <class P, int K>
constexpr Dual<P, K> asinh(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Asinh{}, x);
}
template <class P, int K>
constexpr Dual<P, K> acosh(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Acosh{}, x);
}
template <class P, int K>
constexpr Dual<P, K> atanh(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Atanh{}, x);
}
template <class P, int K>
constexpr Dual<P, K> erf(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Erf{}, x);
}
template <class P, int K>
constexpr Dual<P, K> floor(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Floor{}, x);
}
template <class P, int K>
constexpr Dual<P, K> ceil(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Ceil{}, x);
}
template <class P, int K>
constexpr Dual<P, K> round(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Round{}, x);
}
template <class P, int K>
constexpr Dual<P, K> trunc(const Dual<P, K>& x) {
  return Dual<P, K>::combine(functors::Trunc{}, x);
}

namespace detail {

/// Derivatives of a functor with respect to each argument, as a tuple: stated ones, else from dual numbers.
template <class F, class Y, class... X>
constexpr auto derivatives_of(const F& f, const Y& y, const X&... x) {
  if constexpr (requires { F::derivatives(x..., y); }) {
    return F::derivatives(x..., y);
  } else {
    constexpr int count = sizeof...(X);
    using P = std::common_type_t<X...>;
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      const auto seeded = [](P value, std::size_t one) {
        Dual<P, count> dual{value, {}};
        for (std::size_t k = 0; k < dual.d.size(); ++k)
          dual.d[k] = P(typename P::value_type(k == one ? 1 : 0));
        return dual;
      };
      const Dual<P, count> result = f(seeded(x, I)...);
      return std::tuple{result.d[I]...};
    }
    (std::index_sequence_for<X...>{});
  }
}

}  // namespace detail

}  // namespace burrow
