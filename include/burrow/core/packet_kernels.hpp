// Functions of mathematics on whole vectors of float and double: argument reduction and polynomials, with no
// branch on an element. The coefficients interpolate each function at Chebyshev nodes of the reduced range,
// computed with 60 digits. What each function is accurate to stands in docs/guide/dtypes.md, and is tested.
// Those that are called from loops are `const`: a loop keeps what it has read from memory across the call.
// Exponentials are always inlined: across a call, no register of AVX2 keeps a constant of the loop.
#pragma once

#include <array>

#include <burrow/core/packet.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // vector types as template arguments lose nothing here
#pragma GCC diagnostic ignored "-Wuninitialized"       // g++ 12's own AVX-512 intrinsics start that way
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace burrow::detail {

/// The bits of a floating-point format.
template <class T>
struct Format {
  static constexpr bool single = sizeof(T) == 4;
  using word = std::conditional_t<single, std::uint32_t, std::uint64_t>;
  typedef word Words __attribute__((vector_size(static_cast<unsigned>(native_lanes<T>()) * sizeof(T))));
  static constexpr int fraction = single ? 23 : 52;
  static constexpr word bias = single ? 127 : 1023;
  static constexpr word sign = word{1} << (single ? 31 : 63);
  /// Adding it rounds a moderate number to an integer, which then stands in the lowest bits.
  static constexpr T rounding = single ? T(0x1.8p23) : T(0x1.8p52);
};

// The bits of vectors. nvcc would define std::bit_cast twice here, for what it takes for two types of
// vectors.
template <class T, int N>
auto words(Packet<T, N> x) {
  return __builtin_bit_cast(typename Format<T>::Words, x.v);
}
template <class T, int N>
Packet<T, N> from_words(typename Format<T>::Words w) {
  return __builtin_bit_cast(native_vector<T>, w);
}

/// |a| with the sign of b.
template <class T, int N>
Packet<T, N> with_sign(Packet<T, N> a, Packet<T, N> b) {
  constexpr auto sign = Format<T>::sign;
  return from_words<T, N>((words(a) & ~sign) | (words(b) & sign));
}

/// c[0] + c[1] x + c[2] x^2 + ...
template <class T, int N, std::size_t K>
Packet<T, N> polynomial(Packet<T, N> x, const std::array<T, K>& c) {
  using P = Packet<T, N>;
  P y(c[K - 1]);
  [&]<std::size_t... I>(std::index_sequence<I...>) { ((y = fused_multiply_add(y, x, P(c[K - 2 - I]))), ...); }
  (std::make_index_sequence<K - 1>{});
  return y;
}

/// x rounded to an integer, ties to even; also right for infinities, NaN and numbers without a fraction.
template <class T, int N>
Packet<T, N> round_vector(Packet<T, N> x) {
  using P = Packet<T, N>;
  const P limit(Format<T>::single ? T(0x1p23) : T(0x1p52)), size = simd::pabs(x.v);
  return select(size < limit, with_sign((size + limit) - limit, x), x);
}

/// The square root of the machine, correctly rounded.
#if defined(__SSE2__)
inline __m128 square_root(__m128 v) { return _mm_sqrt_ps(v); }
inline __m128d square_root(__m128d v) { return _mm_sqrt_pd(v); }
#endif
#if defined(__AVX__)
inline __m256 square_root(__m256 v) { return _mm256_sqrt_ps(v); }
inline __m256d square_root(__m256d v) { return _mm256_sqrt_pd(v); }
#endif
#if defined(__AVX512F__)
inline __m512 square_root(__m512 v) { return _mm512_sqrt_ps(v); }
inline __m512d square_root(__m512d v) { return _mm512_sqrt_pd(v); }
#endif
#if defined(__aarch64__)
inline float32x4_t square_root(float32x4_t v) { return vsqrtq_f32(v); }
inline float64x2_t square_root(float64x2_t v) { return vsqrtq_f64(v); }
#endif

/// e^x as 2^k (1 + p), where k = round(x / log 2) and p = e^r - 1 of the remainder r.
template <class T, int N>
struct ExponentialParts {
  using P = Packet<T, N>;
  P p;
  typename Format<T>::Words k;

  /// (e^r - 1 - r) / r^2 for |r| <= log(2) / 2.
  static constexpr auto series = [] {
    if constexpr (Format<T>::single)
      return std::array<T, 5>{0.5f, 0.1666657699f, 4.166655446e-2f, 8.363179365e-3f, 1.39262012e-3f};
    else
      return std::array<T, 11>{0.5,
                               0.1666666666666667099,
                               4.166666666666666979e-2,
                               8.333333333326134831e-3,
                               1.388888888888371902e-3,
                               1.984126987482165719e-4,
                               2.480158732562592443e-5,
                               2.755725539889753593e-6,
                               2.755727355929329382e-7,
                               2.510521754947203273e-8,
                               2.091471801879762927e-9};
  }();
  // log 2 in two parts, the first short enough for exact products with k.
  static constexpr T log2_high = Format<T>::single ? T(0.693115234375) : T(0.6931471803691238164901733);
  static constexpr T log2_low =
      Format<T>::single ? T(0.00003194618494530941723212146) : T(1.908214929270587816144266e-10);

  static ExponentialParts natural(P x) {
    const P shifted = fused_multiply_add(x, P(T(1.442695040888963407)), P(Format<T>::rounding));
    const P k = shifted - P(Format<T>::rounding);
    const P r = fused_multiply_add(k, P(-log2_low), fused_multiply_add(k, P(-log2_high), x));
    return {remainder(r), words(shifted)};
  }
  static ExponentialParts binary(P x) {
    const P shifted = x + P(Format<T>::rounding);
    return {remainder((x - (shifted - P(Format<T>::rounding))) * P(T(0.6931471805599453094))),
            words(shifted)};
  }
  static P remainder(P r) { return fused_multiply_add(r * r, polynomial(r, series), r); }

  /// 2^(k + by); the exponent must be a normal one.
  P scale(int by) const {
    constexpr auto base = Format<T>::bias;
    return from_words<T, N>((k + (base + static_cast<typename Format<T>::word>(by))) << Format<T>::fraction);
  }
  /// 2^k (1 + p), in two steps so that k may be one more than the largest exponent.
  P value() const {
    using W = typename Format<T>::word;
    constexpr W low = (W{1} << (Format<T>::fraction - 1)) - 1;  // of `shifted`, without the rounding constant
    const auto twice = (k + 2 * Format<T>::bias) & low;
    const auto first = twice >> 1;
    return (P(T(1)) + p) * from_words<T, N>(first << Format<T>::fraction) *
           from_words<T, N>((twice - first) << Format<T>::fraction);
  }
};

/// e^x; zero below the smallest normal number.
template <class T, int N>
[[gnu::always_inline]] inline Packet<T, N> exp_vector(Packet<T, N> x) {
  using P = Packet<T, N>;
  const P y = ExponentialParts<T, N>::natural(x).value();
  constexpr T lowest = Format<T>::single ? T(-87.33654) : T(-708.396418532264);
  return select(x > P(Format<T>::single ? T(89) : T(710)), P(std::numeric_limits<T>::infinity()),
                select(x < P(lowest), P(T(0)), y));
}

/// 2^x; zero below the smallest normal number.
template <class T, int N>
[[gnu::const]] Packet<T, N> exp2_vector(Packet<T, N> x) {
  using P = Packet<T, N>;
  constexpr T highest = Format<T>::single ? T(128) : T(1024);
  const P y = ExponentialParts<T, N>::binary(x).value();
  return select(x >= P(highest), P(std::numeric_limits<T>::infinity()),
                select(x < P(2 - highest), P(T(0)), y));
}

/// e^x - 1 = 2 (2^(k-1) p + (2^(k-1) - 1/2)).
template <class T, int N>
[[gnu::always_inline]] inline Packet<T, N> expm1_vector(Packet<T, N> x) {
  using P = Packet<T, N>;
  const auto parts = ExponentialParts<T, N>::natural(x);
  const P scale = parts.scale(-1), half_y = fused_multiply_add(scale, parts.p, scale - P(T(0.5)));
  const P y = select(x < P(Format<T>::single ? T(-18) : T(-40)), P(T(-1)), half_y + half_y);
  return select(x > P(Format<T>::single ? T(89) : T(710)), P(std::numeric_limits<T>::infinity()),
                select(x == P(T(0)), x, y));
}

/// log x = e log 2 + log(1 + f), 1 + f in [sqrt(1/2), sqrt 2): of s = f / (2 + f) a series in s^2.
template <class T, int N>
[[gnu::const]] Packet<T, N> log_vector(Packet<T, N> x) {
  using P = Packet<T, N>;
  using F = Format<T>;
  constexpr auto series = [] {
    if constexpr (F::single)
      return std::array<T, 4>{0.6666666655f, 0.4000012221f, 0.2855077863f, 0.2333161447f};
    else
      return std::array<T, 7>{0.6666666666666669708, 0.3999999999989889051, 0.2857142862625383763,
                              0.2222221108937949338, 0.1818289243253703153, 0.1533161172205065238,
                              0.1461780715346282875};
  }();
  constexpr auto root_half = std::bit_cast<typename F::word>(T(0.70710678118654752440));
  constexpr T shift = F::single ? T(0x1p23) : T(0x1p52);
  const auto small = x < P(std::numeric_limits<T>::min());
  const auto bits = words(select(small, x * P(shift), x)) - root_half;
  const P f = from_words<T, N>((bits & ((typename F::word{1} << F::fraction) - 1)) + root_half) - P(T(1));
  const auto exponent = (bits + (F::bias << F::fraction)) >> F::fraction;  // e + bias, as the last bits of:
  const P biased = from_words<T, N>(exponent | std::bit_cast<typename F::word>(shift)) - P(shift);
  const P e = biased - select(small, P(T(F::bias) + T(F::fraction)), P(T(F::bias)));
  const P s = f / (f + P(T(2))), z = s * s, half_square = P(T(0.5)) * f * f;
  const P tail = s * fused_multiply_add(z, polynomial(z, series), half_square);
  using Parts = ExponentialParts<T, N>;
  P y = f - (half_square - fused_multiply_add(e, P(Parts::log2_low), tail));
  y = fused_multiply_add(e, P(Parts::log2_high), y);
  constexpr T infinity = std::numeric_limits<T>::infinity();
  y = select(x < P(infinity), y, x);
  y = select(x == P(T(0)), P(-infinity), y);
  return select(x < P(T(0)), P(std::numeric_limits<T>::quiet_NaN()), y);
}

/// log(1 + x) = log(u) x / (u - 1) for u = 1 + x as rounded (Goldberg 1991, theorem 4).
template <class T, int N>
[[gnu::const]] Packet<T, N> log1p_vector(Packet<T, N> x) {
  using P = Packet<T, N>;
  const P u = x + P(T(1));
  const P y = log_vector(u) * (x / (u - P(T(1))));
  return select(u == P(T(1)) || u == P(std::numeric_limits<T>::infinity()), x, y);
}

/// tanh x = e / (e + 2) for e = e^2|x| - 1.
template <class T, int N>
[[gnu::always_inline]] inline Packet<T, N> tanh_vector(Packet<T, N> x) {
  using P = Packet<T, N>;
  const P size = simd::pabs(x.v);
  const P e = expm1_vector(size + size);
  return with_sign(select(size > P(T(20)), P(T(1)), e / (e + P(T(2)))), x);
}

/// Coefficients of erf: erf(x) / x - 1 in x^2 for |x| <= 1, and -log(1 - erf(x)) in x - (1 + limit) / 2 up to
/// the limit, where erf is 1.
template <class T>
struct ErfSeries;
template <>
struct ErfSeries<float> {
  static constexpr float limit = 4;
  static constexpr std::array<float, 8> near{0.1283791671f,    -0.3761263847f,  0.112837825f,
                                             -2.686543073e-2f, 5.221031808e-3f, -8.484080406e-4f,
                                             1.126595903e-4f,  -9.667044571e-6f};
  static constexpr std::array<float, 9> far{7.806815273f,     5.352680674f,     0.9438937036f,
                                            1.085854164e-2f,  -2.165303549e-3f, 4.201225235e-4f,
                                            -7.729137615e-5f, 1.33150144e-5f,   -1.637151415e-6f};
};
template <>
struct ErfSeries<double> {
  static constexpr double limit = 6;
  static constexpr std::array<double, 14> near{
      0.1283791670955125739,    -0.3761263890318375238,   0.1128379167095512024,   -2.686617064512984081e-2,
      5.223977625423298309e-3,  -8.548327021934829595e-4, 1.205533290288873541e-4, -1.492564756751933209e-5,
      1.64620454414684183e-6,   -1.636464215816760718e-7, 1.479240120940474186e-8, -1.216456005728304546e-9,
      8.709045129051758804e-11, -4.230945824293342099e-12};
  static constexpr std::array<double, 25> far{
      14.11243740214817376,      7.266099588365190673,      0.9667530547422301489,
      5.225658221942860614e-3,   -8.736873236408237162e-4,  1.472977748878174382e-4,
      -2.4386373538371928e-5,    3.889557177433290803e-6,   -5.856143420214685735e-7,
      8.069300921059887399e-8,   -9.531662324567559784e-9,  7.7490982160991445e-10,
      2.479796192731353273e-11,  -3.065799747065225491e-11, 9.181632549224173227e-12,
      -2.05374382433180993e-12,  3.936555536117870586e-13,  -6.732658943904082419e-14,
      8.933312939036637305e-15,  -5.181126963216710189e-16, 2.372761786763158077e-17,
      -2.071849574457625386e-17, -7.95415950552728652e-18,  5.095277602669095207e-18,
      -6.325520588718492721e-19};
};

template <class T, int N>
[[gnu::noinline, gnu::const]] Packet<T, N> erf_vector(Packet<T, N> x) {
  using P = Packet<T, N>;
  using Series = ErfSeries<T>;
  const P size = simd::pabs(x.v), square = x * x;
  const P near = fused_multiply_add(x, polynomial(square, Series::near), x);
  const P exponent = polynomial(size - P((1 + Series::limit) / 2), Series::far);
  const P far = select(size >= P(Series::limit), P(T(1)), P(T(1)) - exp_vector(-exponent));
  return select(size <= P(T(1)), near, select(x == x, with_sign(far, x), x));
}

/// pi/2 in parts whose products with k are exact, and the kernels (sin r - r) / r^3 and (cos r - 1 + r^2 / 2)
/// / r^4 in r^2 for |r| <= pi/4.
template <class T>
struct SineSeries;
template <>
struct SineSeries<float> {
  static constexpr float limit = 6000;
  static constexpr float parts[]{1.5703125f, 0.0004837512969970703125f, 7.549533620476722717e-8f,
                                 2.563344151594518789e-12f};
  static constexpr std::array<float, 3> sine{-0.1666666465f, 8.332745936e-3f, -1.958738707e-4f};
  static constexpr std::array<float, 3> cosine{4.166666465e-2f, -1.38883007e-3f, 2.454743721e-5f};
};
template <>
struct SineSeries<double> {
  static constexpr double limit = 1e6;
  static constexpr double parts[]{1.57079632673412561416626, 6.077100506303965976595549e-11,
                                  2.022266248795950732399685e-21};
  static constexpr std::array<double, 6> sine{-0.1666666666666666462,   8.333333333330946103e-3,
                                              -1.984126983675497001e-4, 2.755731610068302912e-6,
                                              -2.505113145542794353e-8, 1.591810123027389262e-10};
  static constexpr std::array<double, 6> cosine{4.166666666666666539e-2, -1.388888888888739575e-3,
                                                2.480158729876343316e-5, -2.755731727056032405e-7,
                                                2.087614602468974418e-9, -1.138261486855618213e-11};
};

/// The sine of x + Quarter pi/2 (0 the sine, 1 the cosine) for |x| up to the limit of its series.
template <int Quarter, class T, int N>
[[gnu::const]] Packet<T, N> sine_vector(Packet<T, N> x) {
  using P = Packet<T, N>;
  using Series = SineSeries<T>;
  const P shifted = fused_multiply_add(x, P(T(0.6366197723675813431)), P(Format<T>::rounding));
  const P k = shifted - P(Format<T>::rounding);
  P r = x;
  for (const T part : Series::parts) r = fused_multiply_add(k, P(-part), r);
  const P z = r * r, half_z = P(T(0.5)) * z, one(T(1));
  const P s = fused_multiply_add(r * z, polynomial(z, Series::sine), r);
  const P w = one - half_z;
  const P c = w + fused_multiply_add(z * z, polynomial(z, Series::cosine), (one - w) - half_z);
  using W = typename Format<T>::word;
  const auto turn = words(shifted) + W{Quarter};
  constexpr int top = static_cast<int>(sizeof(T)) * 8 - 1;
  const P odd = with_sign(one, from_words<T, N>(turn << top));  // -1 where sine and cosine change places
  const P y = from_words<T, N>(words(select(odd > P(T(0)), s, c)) ^ ((turn & W{2}) << (top - 1)));
  return Quarter == 0 ? select(x == P(T(0)), x, y) : y;
}

}  // namespace burrow::detail

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
