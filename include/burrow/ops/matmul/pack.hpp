// Operands of a product in the order in which its kernel reads them: panels of a few lines, position by
// position. Also the words they are packed as: one number of the compute type, or two of bf16 where the
// processor multiplies and adds pairs of them.
#pragma once

#include <burrow/core/memory.hpp>
#include <burrow/core/packet.hpp>
#include <burrow/ops/matmul/matrix.hpp>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12's own AVX-512 intrinsics start that way
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wignored-attributes"  // vector types as template arguments lose nothing here
#endif

namespace burrow::cpu {

using burrow::detail::Matrix;

/// True where the processor sums products of pairs of bf16 in fp32 (AVX512-BF16).
#if defined(__AVX512BF16__) && defined(__AVX512F__)
inline constexpr bool multiplies_bf16_pairs = true;
#else
inline constexpr bool multiplies_bf16_pairs = false;
#endif

namespace detail {

using burrow::detail::NarrowLanes;
using burrow::detail::native_vector;
namespace simd = burrow::detail::simd;

/// Elements of a product of T to a word of a packed panel.
template <class T>
inline constexpr Index elements_per_word = std::same_as<T, bf16>&& multiplies_bf16_pairs ? 2 : 1;

/// sum + a b for words of a product of T.
template <class T, class P>
P multiply_add_words(P a, P b, P sum) {
#if defined(__AVX512BF16__) && defined(__AVX512F__)
  if constexpr (elements_per_word<T> == 2)
    return _mm512_dpbf16_ps(sum.v, __builtin_bit_cast(__m512bh, a.v), __builtin_bit_cast(__m512bh, b.v));
#endif
  return fused_multiply_add(a, b, sum);
}

/// The numbers at p as a product of T takes them: rounded to T where they are wider.
template <class T, class A>
Packet<compute_type<T>> load_rounded(const A* p) {
  using P = Packet<compute_type<T>>;
  if constexpr (Narrow<T> && !Narrow<A>)
    return NarrowLanes::rounded<T>(P::load(p).v);
  else
    return P::load(p);
}

/// Two vectors of bf16, widened, as one of pairs: a float's upper half is its bf16.
inline Packet<float> pair_words(Packet<float> first, Packet<float> second) {
  using Wide = NarrowLanes::Wide;
  return __builtin_bit_cast(native_vector<float>,
                            __builtin_bit_cast(Wide, second.v) | (__builtin_bit_cast(Wide, first.v) >> 16));
}

/// The words of one line whose elements lie side by side at p.
template <class T, class A>
Packet<compute_type<T>> words_along(const A* p) {
  using P = Packet<compute_type<T>>;
  if constexpr (elements_per_word<T> == 1) {
    return load_rounded<T>(p);
  } else {
    bf16 rounded[2 * P::size];
    const bf16* from = rounded;
    if constexpr (std::same_as<A, bf16>) {
      from = p;
    } else {
      P::load(p).store(rounded);
      P::load(p + P::size).store(rounded + P::size);
    }
    P words;
    std::memcpy(static_cast<void*>(&words), from, sizeof(words));
    return words;
  }
}

/// load_rounded of the first `count` numbers at p; the others are zero.
template <class T, class A>
Packet<compute_type<T>> load_rounded(const A* p, Index count) {
  using P = Packet<compute_type<T>>;
  if (count >= P::size) return load_rounded<T>(p);
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
  const auto mask = static_cast<unsigned>((1u << count) - 1u);
  if constexpr (std::same_as<A, float> && std::same_as<T, float>)
    return P(_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), p));
  if constexpr (std::same_as<A, double> && std::same_as<T, double>)
    return P(_mm512_maskz_loadu_pd(static_cast<__mmask8>(mask), p));
  if constexpr (std::same_as<A, bf16> && std::same_as<T, bf16>)
    return __builtin_bit_cast(
        native_vector<float>,
        _mm512_maskz_slli_epi32(
            0xFFFF,
            _mm512_maskz_cvtepu16_epi32(0xFFFF, _mm256_maskz_loadu_epi16(static_cast<__mmask16>(mask), p)),
            16));
#endif
  A some[P::size]{};
  std::copy_n(p, count, some);
  return load_rounded<T>(some);
}

/// Packs lines whose elements at one position lie side by side, `stride` apart from those at the next: no
/// more lines than a vector has lanes.
template <Index Width, class T, class A>
void pack_across(const A* x, Index stride, Index lines, Index depth, compute_type<T>* to) {
  using P = Packet<compute_type<T>>;
  constexpr Index group = elements_per_word<T>;
  for (Index l = 0; l < depth; l += group, x += group * stride, to += Width) {
    P words = load_rounded<T>(x, lines);
    if constexpr (group == 2) {
      const P next = l + 1 < depth ? load_rounded<T>(x + stride, lines) : P(0.0f);
      words = pair_words(words, next);
    }
    words.store(to);
  }
}

/// Packs lines that lie `stride` apart, each without gaps: no more than a vector has lanes.
template <Index Width, class T, class A>
void pack_along(const A* x, Index stride, Index lines, Index depth, compute_type<T>* to) {
  using P = Packet<compute_type<T>>;
  constexpr Index n = P::size, step = n * elements_per_word<T>;
  simd::PacketBlock<native_vector<compute_type<T>>, n> block;
  const auto put = [&](Index count) {
    simd::ptranspose(block);
    for (Index w = 0; w < count; ++w, to += Width) P(block.packet[w]).store(to);
  };
  Index l = 0;
  for (; l + step <= depth; l += step) {
    for (Index i = 0; i < n; ++i)
      block.packet[i] = i < lines ? words_along<T>(x + i * stride + l).v : P(compute_type<T>(0)).v;
    put(n);
  }
  if (l == depth) return;
  A rest[step];
  for (Index i = 0; i < n; ++i) {
    std::fill_n(rest, step, A(0));
    if (i < lines) std::copy_n(x + i * stride + l, depth - l, rest);
    block.packet[i] = words_along<T>(rest).v;
  }
  put((depth - l + elements_per_word<T> - 1) / elements_per_word<T>);
}

/// Packs `lines` lines of `depth` elements into panels of Width lines, position by position; missing lines
/// are zero. Line p is row p of `x`, or column p where it is transposed. Writes up to a vector too far.
template <Index Width, class T, class A>
void pack(Matrix<const A> x, Index lines, Index depth, compute_type<T>* to) {
  using C = compute_type<T>;
  using P = Packet<C>;
  constexpr Index n = P::size, group = elements_per_word<T>;
  constexpr Index partial = Width / n * n;  // where the vector begins that reaches over the panel's end
  const Index words = (depth + group - 1) / group;
  if constexpr (partial == Width) {
    if (x.transposed) {  // a few positions at a time, which are read along memory
      constexpr Index few = 8;
      for (Index l = 0; l < depth; l += few)
        for (Index line = 0; line < (lines + Width - 1) / Width * Width; line += n)
          pack_across<Width, T>(x.data + l * x.stride + line, x.stride, std::clamp<Index>(lines - line, 0, n),
                                std::min(few, depth - l),
                                to + line / Width * Width * words + l / group * Width + line % Width);
      return;
    }
  }
  for (Index first = 0; first < lines; first += Width, to += Width * words) {
    // From the last vector of a panel to the first, which overwrites what the last one wrote too far.
    for (Index begin = partial < Width ? partial : partial - n; begin >= 0; begin -= n) {
      const Index count = std::clamp<Index>(lines - first - begin, 0, std::min(n, Width - begin));
      if (x.transposed)
        pack_across<Width, T>(x.data + first + begin, x.stride, count, depth, to + begin);
      else
        pack_along<Width, T>(x.data + (first + begin) * x.stride, x.stride, count, depth, to + begin);
    }
  }
}

}  // namespace detail
}  // namespace burrow::cpu

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
