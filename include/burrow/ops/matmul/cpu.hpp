// Matrix products on the CPU. One thread's product is oneDNN's where burrow::onednn is linked, burrow's own
// (kernel.hpp) otherwise; this file chooses, and cuts a product into panels for the threads.
#pragma once

#include <burrow/core/parallel.hpp>
#include <burrow/ops/matmul/amx.hpp>
#include <burrow/ops/matmul/kernel.hpp>
#include <burrow/ops/matmul/onednn.hpp>
#include <burrow/ops/matmul/vector.hpp>

namespace burrow::cpu {

/// What multiplies matrices of T in this build: "oneDNN", or burrow's kernel with vectors of so many bits.
template <class T = float>
constexpr const char* matmul_backend() {
#ifdef BURROW_WITH_ONEDNN
  if constexpr (std::same_as<T, float> || std::same_as<T, bf16>)
    if (detail::onednn_multiplies<T>()) return "oneDNN";
#endif
  if constexpr (detail::fits_tiles<T>)
    return detail::amx_permitted() ? "burrow, tiles of bf16 (AMX)"
                                   : "burrow, pairs of bf16 (the system refuses AMX)";
  if (detail::elements_per_word<T> == 2) return "burrow, pairs of bf16";
  constexpr Index bytes = lanes<compute_type<T>> * Index{sizeof(compute_type<T>)};
  if (lanes<compute_type<T>> == 1) return "burrow, plain loops";
  if (Narrow<T>)
    return bytes == 64   ? "burrow, widened to fp32, vectors of 512 bits"
           : bytes == 32 ? "burrow, widened to fp32, vectors of 256 bits"
                         : "burrow, widened to fp32, vectors of 128 bits";
  return bytes == 64   ? "burrow, vectors of 512 bits"
         : bytes == 32 ? "burrow, vectors of 256 bits"
                       : "burrow, vectors of 128 bits";
}

namespace detail {

/// Scratch memory for arrays of C, from the pool.
template <class C>
class Scratch {
 public:
  explicit Scratch(Index count) : buffer_{std::max<Index>(count, 1) * Index{sizeof(C)}, MemoryUse::scratch} {}
  C* data() const { return static_cast<C*>(buffer_.data()); }

 private:
  Buffer<Cpu> buffer_;
};

template <class T, class A, class B, class O>
void product(Index m, Index n, Index k, compute_type<T> alpha, Matrix<const A> a, Matrix<const B> b,
             Destination<O> c);

/// The values and the tangents of a matrix of dual numbers as two matrices without gaps.
template <class T>
struct DualParts {
  Buffer<Cpu> storage;
  Matrix<const T> value, tangent;

  DualParts(Matrix<const DualNumber<T>> x, Index rows, Index columns)
      : storage{2 * rows * columns * Index{sizeof(T)}} {
    const Index lines = x.transposed ? columns : rows, length = x.transposed ? rows : columns;
    auto* const values = static_cast<T*>(storage.data());
    auto* const tangents = values + rows * columns;
    for (Index i = 0; i < lines; ++i)
      for (Index j = 0; j < length; ++j) {
        values[i * length + j] = x.data[i * x.stride + j].value;
        tangents[i * length + j] = x.data[i * x.stride + j].tangent;
      }
    value = {values, length, x.transposed};
    tangent = {tangents, length, x.transposed};
  }
};

/// A product of dual matrices as three of plain ones: a b, and a' b + a b'.
template <class T>
void dual_product(Index m, Index n, Index k, DualNumber<T> alpha, Matrix<const DualNumber<T>> a,
                  Matrix<const DualNumber<T>> b, Destination<DualNumber<T>> c) {
  const DualParts<T> left{a, m, k}, right{b, k, n};
  const Buffer<Cpu> sums{2 * m * n * Index{sizeof(T)}};
  auto* const value = static_cast<T*>(sums.data());
  T* const tangent = value + m * n;
  product<T>(m, n, k, T(1), left.value, right.value, Destination<T>{value, n});
  product<T>(m, n, k, T(1), left.tangent, right.value, Destination<T>{tangent, n});
  product<T>(m, n, k, T(1), left.value, right.tangent, Destination<T>{tangent, n, tangent, n});
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      const auto to = c.block(i, j);
      const auto term = alpha * DualNumber<T>{value[i * n + j], tangent[i * n + j]};
      *to.data = to.addend != nullptr ? *to.addend + term : term;
    }
}

/// The plain loops, for types without vectors.
template <class T>
void loop_product(Index m, Index n, Index k, T alpha, Matrix<const T> a, Matrix<const T> b,
                  Destination<T> c) {
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      T sum(0);
      for (Index l = 0; l < k; ++l) sum += *a.block(i, l).data * *b.block(l, j).data;
      const T addend = c.addend != nullptr ? *c.block(i, j).addend : T(0);
      *c.block(i, j).data = alpha * sum + addend;
    }
}

/// c = alpha a b + addend on the calling thread, whatever the extents.
template <class T, class A, class B, class O>
void product(Index m, Index n, Index k, compute_type<T> alpha, Matrix<const A> a, Matrix<const B> b,
             Destination<O> c) {
  if constexpr (burrow::detail::is_dual<T>) {
    dual_product(m, n, k, alpha, a, b, c);
  } else if constexpr (lanes<compute_type<T>> == 1) {
    loop_product<T>(m, n, k, alpha, a, b, c);
  } else {
#ifdef BURROW_WITH_ONEDNN
    if constexpr (fits_onednn<T, A, B, O>)
      if (multiply_by_onednn<T>(m, n, k, alpha, a, b, c)) return;
#endif
    if constexpr (fits_tiles<T, A, B>)
      if (amx_permitted()) return multiply_in_tiles(m, n, k, alpha, a, b, c);
    multiply_packed<T>(m, n, k, alpha, a, b, c);
  }
}

/// A product of which one side is a vector, which needs no packing, on `count` threads; false where there is
/// none. The threads run its tasks as `each` says.
template <class T, class A, class B, class O, class Each>
bool vector_product(Index m, Index n, Index k, compute_type<T> alpha, Matrix<const A> a, Matrix<const B> b,
                    Destination<O> c, Index count, const Each& each) {
  if constexpr (lanes < compute_type < T >>> 1) {
    const auto all = [&](const auto& product) {
      each(product.tasks(), [&](Index task) { product.run(task); });
      product.finish();
    };
    if (n == 1)
      all(VectorProduct<T, A, B, O>(m, k, alpha, a, b.data, b.transposed ? 1 : b.stride, c.data, c.stride,
                                    c.addend, c.addend_stride, count));
    else if (m == 1)
      all(VectorProduct<T, B, A, O>(n, k, alpha, b.transpose(), a.data, a.transposed ? a.stride : 1, c.data,
                                    Index{1}, c.addend, Index{1}, count));
    return n == 1 || m == 1;
  } else {
    return false;
  }
}

/// A product without terms.
template <class O>
void fill_product(Index m, Index n, Destination<O> c) {
  if (c.addend == c.data && c.addend != nullptr) return;
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) *c.block(i, j).data = c.addend != nullptr ? *c.block(i, j).addend : O(0);
}

template <class T>
Destination<T> destination(bool accumulate, Matrix<T> c) {
  return {c.data, c.stride, accumulate ? c.data : nullptr, accumulate ? c.stride : 0};
}

/// c (+)= alpha a b on the calling thread, whatever the extents.
template <class T>
void product(Index m, Index n, Index k, compute_type<T> alpha, std::type_identity_t<Matrix<const T>> a,
             std::type_identity_t<Matrix<const T>> b, bool accumulate, std::type_identity_t<Matrix<T>> c) {
  product<T>(m, n, k, alpha, a, b, destination(accumulate, c));
}

}  // namespace detail

/// c = alpha a b + addend for a of m x k and b of k x n, on the calling thread. Operands are rounded to T
/// where they are wider; sums are in fp32 for half and bf16, and c is rounded once.
template <class T, class A, class B, class O>
void multiply_on_thread(Index m, Index n, Index k, compute_type<T> alpha, Matrix<const A> a,
                        Matrix<const B> b, Destination<O> c) {
  if (m == 0 || n == 0) return;
  if (k == 0) return detail::fill_product(m, n, c);
  const auto in_turn = [](Index tasks, const auto& run) {
    for (Index i = 0; i < tasks; ++i) run(i);
  };
  if (!detail::vector_product<T>(m, n, k, alpha, a, b, c, 1, in_turn))
    detail::product<T>(m, n, k, alpha, a, b, c);
}
/// c (+)= alpha a b.
template <class T, class A = T, class B = T, class O = T>
void multiply_on_thread(Index m, Index n, Index k, compute_type<T> alpha, Matrix<const A> a,
                        Matrix<const B> b, bool accumulate, Matrix<O> c) {
  if (c.transposed)
    return multiply_on_thread<T>(n, m, k, alpha, b.transpose(), a.transpose(), accumulate, c.transpose());
  multiply_on_thread<T>(m, n, k, alpha, a, b, detail::destination(accumulate, c));
}

/// multiply_on_thread, on all threads. Each element is summed in the same order whatever their number.
template <class T, class A, class B, class O>
void multiply(Index m, Index n, Index k, compute_type<T> alpha, Matrix<const A> a, Matrix<const B> b,
              Destination<O> c) {
  const bool vector = m == 1 || n == 1;  // limited by memory, not by arithmetic: worth threads sooner
  const Index smallest = Index{1} << (vector ? 16 : 18);  // multiply-adds worth a thread
  const Index pieces = std::clamp<Index>(m * n * k / smallest, 1, threads());
  if (pieces == 1) return multiply_on_thread<T>(m, n, k, alpha, a, b, c);
  const auto in_parallel = [](Index tasks, const auto& run) { parallel_tasks(tasks, run); };
  if (detail::vector_product<T>(m, n, k, alpha, a, b, c, pieces, in_parallel)) return;
  // Panels of about the same area, cut along the longer side first.
  Index along_rows = 1;
  for (Index r = 1; r <= pieces; ++r)
    if (pieces % r == 0 && r * n <= (pieces / r) * m * 2) along_rows = r;
  const Index along_columns = pieces / along_rows;
  using Size = detail::Tile<compute_type<T>>;
  constexpr Index rows_of_tile = detail::fits_tiles<T> ? Size::columns : Size::rows;  // tiles are square
  const auto cut = [](Index length, Index step, Index piece, Index count) {
    return piece == count ? length : std::min(length, (length * piece / count + step - 1) / step * step);
  };
  parallel_tasks(pieces, [&](Index piece) {
    const Index row = piece / along_columns, column = piece % along_columns;
    const Index i = cut(m, rows_of_tile, row, along_rows), j = cut(n, Size::columns, column, along_columns);
    const Index height = cut(m, rows_of_tile, row + 1, along_rows) - i;
    const Index width = cut(n, Size::columns, column + 1, along_columns) - j;
    if (height == 0 || width == 0) return;
    detail::product<T>(height, width, k, alpha, a.block(i, 0), b.block(0, j), c.block(i, j));
  });
}
/// c (+)= alpha a b.
template <class T, class A = T, class B = T, class O = T>
void multiply(Index m, Index n, Index k, compute_type<T> alpha, Matrix<const A> a, Matrix<const B> b,
              bool accumulate, Matrix<O> c) {
  if (c.transposed)
    return multiply<T>(n, m, k, alpha, b.transpose(), a.transpose(), accumulate, c.transpose());
  multiply<T>(m, n, k, alpha, a, b, detail::destination(accumulate, c));
}

/// `batch` products at once; products are shared among the threads when there are enough of them.
template <class T, class Operand>
void multiply_batch(Index batch, Index m, Index n, Index k, compute_type<T> alpha, const Operand& operands,
                    bool accumulate) {
  if (batch >= threads()) {
    parallel_tasks(batch, [&](Index i) {
      const auto [a, b, c] = operands(i);
      multiply_on_thread<T>(m, n, k, alpha, a, b, accumulate, c);
    });
  } else {
    for (Index i = 0; i < batch; ++i) {
      const auto [a, b, c] = operands(i);
      multiply<T>(m, n, k, alpha, a, b, accumulate, c);
    }
  }
}

}  // namespace burrow::cpu
