// A stand-in for what burrow calls of cuBLASLt: plain loops over column-major matrices. It refuses what the
// library refuses: leading dimensions below the rows, pointers less aligned than was promised, types that do
// not go together.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>

#include <burrow/core/dtype.hpp>

#include "cuda_runtime.h"

enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_NOT_SUPPORTED = 15
};
enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16F = 2, CUDA_R_16BF = 14 };
enum cublasComputeType_t {
  CUBLAS_COMPUTE_32F = 68,
  CUBLAS_COMPUTE_64F = 70,
  CUBLAS_COMPUTE_32F_FAST_TF32 = 77
};
enum cublasOperation_t { CUBLAS_OP_N, CUBLAS_OP_T };
enum cublasLtEpilogue_t {
  CUBLASLT_EPILOGUE_DEFAULT = 1,
  CUBLASLT_EPILOGUE_BIAS = 4,
  CUBLASLT_EPILOGUE_GELU_AUX_BIAS = 32 | 128 | 4,
  CUBLASLT_EPILOGUE_DGELU = 64 | 128,
  CUBLASLT_EPILOGUE_BGRADA = 256,
  CUBLASLT_EPILOGUE_BGRADB = 512
};
enum cublasLtMatmulDescAttributes_t {
  CUBLASLT_MATMUL_DESC_TRANSA = 3,
  CUBLASLT_MATMUL_DESC_TRANSB = 4,
  CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
  CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8,
  CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER = 11,
  CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD = 12
};
enum cublasLtMatrixLayoutAttribute_t {
  CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT = 5,
  CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET = 6
};
enum cublasLtMatmulPreferenceAttributes_t {
  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8
};

struct cublasLtMatmulAlgo_t {
  std::uint64_t data[8];  // here: alignments of A, B, C and D, and the bytes of workspace
};
struct cublasLtMatmulHeuristicResult_t {
  cublasLtMatmulAlgo_t algo;
  std::size_t workspaceSize;
  cublasStatus_t state;
};

namespace emulator {

struct Product {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasOperation_t left = CUBLAS_OP_N, right = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
  void* before = nullptr;  // of the GELU, of the result's type
  std::int64_t before_stride = 0;

  bool has_bias() const { return (epilogue & CUBLASLT_EPILOGUE_BIAS) != 0; }
  bool has_before() const { return (epilogue & 128) != 0; }
  bool has_sums() const { return (epilogue & (CUBLASLT_EPILOGUE_BGRADA | CUBLASLT_EPILOGUE_BGRADB)) != 0; }
};
struct Layout {
  cudaDataType_t type;
  std::int64_t rows, columns, stride;
  std::int32_t count = 1;
  std::int64_t step = 0;
};

template <class T>
bool assign(T& to, const void* from, std::size_t bytes) {
  if (bytes != sizeof(T)) return false;
  std::memcpy(&to, from, bytes);
  return true;
}
inline cublasStatus_t status(bool right) {
  return right ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

inline double element(const void* data, cudaDataType_t type, std::int64_t i) {
  switch (type) {
    case CUDA_R_32F:
      return static_cast<const float*>(data)[i];
    case CUDA_R_64F:
      return static_cast<const double*>(data)[i];
    case CUDA_R_16F:
      return static_cast<float>(static_cast<const burrow::half*>(data)[i]);
    case CUDA_R_16BF:
      return static_cast<float>(static_cast<const burrow::bf16*>(data)[i]);
  }
  return 0;
}
inline void set_element(void* data, cudaDataType_t type, std::int64_t i, double value) {
  switch (type) {
    case CUDA_R_32F:
      static_cast<float*>(data)[i] = static_cast<float>(value);
      break;
    case CUDA_R_64F:
      static_cast<double*>(data)[i] = value;
      break;
    case CUDA_R_16F:
      static_cast<burrow::half*>(data)[i] = burrow::half(static_cast<float>(value));
      break;
    case CUDA_R_16BF:
      static_cast<burrow::bf16*>(data)[i] = burrow::bf16(static_cast<float>(value));
      break;
  }
}

/// The mantissa of tf32.
inline double rounded_to_tf32(double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return std::bit_cast<float>((bits + 0x1000u) & 0xFFFFE000u);
}

/// The GELU by tanh (Hendrycks and Gimpel 2016).
inline double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}
inline double gelu_slope(double x) {
  const double t = std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
}

/// Products with a GELU so far, and those with sums of a factor.
inline int gelu_products = 0, summing_products = 0;

/// Calls of the heuristic so far.
inline int heuristic_calls = 0;

inline bool types_fit(const Product& p, const Layout& a, const Layout& b, const Layout& d) {
  if (a.type != b.type) return false;
  if (p.compute == CUBLAS_COMPUTE_64F)
    return a.type == CUDA_R_64F && d.type == CUDA_R_64F && p.scale == CUDA_R_64F &&
           p.epilogue == CUBLASLT_EPILOGUE_DEFAULT;
  return a.type != CUDA_R_64F && (d.type == a.type || d.type == CUDA_R_32F) && p.scale == CUDA_R_32F;
}

inline bool layouts_fit(const Product& p, const Layout& a, const Layout& b, const Layout& d) {
  const auto inner = p.left == CUBLAS_OP_T ? a.rows : a.columns;
  if (p.has_before() && (p.before_stride % 8 != 0 || p.before_stride < d.rows || d.count != 1 ||
                         reinterpret_cast<std::uintptr_t>(p.before) % 16 != 0))
    return false;
  for (const Layout& x : {a, b, d})
    if (x.rows < 1 || x.columns < 1 || x.stride < x.rows || x.count != d.count) return false;
  return (p.left == CUBLAS_OP_T ? a.columns : a.rows) == d.rows &&
         (p.right == CUBLAS_OP_T ? b.rows : b.columns) == d.columns &&
         (p.right == CUBLAS_OP_T ? b.columns : b.rows) == inner;
}

}  // namespace emulator

using cublasLtHandle_t = struct cublasLtContext*;
using cublasLtMatmulDesc_t = emulator::Product*;
using cublasLtMatrixLayout_t = emulator::Layout*;
using cublasLtMatmulPreference_t = std::map<int, std::uint64_t>*;

inline const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED ? "not supported" : "an invalid value";
}
inline cublasStatus_t cublasLtCreate(cublasLtHandle_t*) { return CUBLAS_STATUS_SUCCESS; }
inline cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t compute,
                                               cudaDataType_t scale) {
  *product = new emulator::Product{compute, scale};
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                                     cublasLtMatmulDescAttributes_t attribute,
                                                     const void* value, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return emulator::status(emulator::assign(product->left, value, bytes));
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return emulator::status(emulator::assign(product->right, value, bytes));
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return emulator::status(emulator::assign(product->epilogue, value, bytes));
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return emulator::status(emulator::assign(product->bias, value, bytes));
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return emulator::status(emulator::assign(product->before, value, bytes));
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return emulator::status(emulator::assign(product->before_stride, value, bytes));
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}
inline cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type,
                                                 std::uint64_t rows, std::uint64_t columns,
                                                 std::int64_t stride) {
  *layout =
      new emulator::Layout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), stride};
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                       cublasLtMatrixLayoutAttribute_t attribute,
                                                       const void* value, std::size_t bytes) {
  return emulator::status(attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT
                              ? emulator::assign(layout->count, value, bytes)
                              : emulator::assign(layout->step, value, bytes));
}
inline cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new std::map<int, std::uint64_t>;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                           cublasLtMatmulPreferenceAttributes_t attribute,
                                                           const void* value, std::size_t bytes) {
  if (bytes != (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? 8u : 4u))
    return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&(*preference)[attribute], value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

/// The workspace that is asked for is as large as may be, so that it is used.
inline cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product,
                                                     cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                     cublasLtMatrixLayout_t, cublasLtMatrixLayout_t d,
                                                     cublasLtMatmulPreference_t preference, int,
                                                     cublasLtMatmulHeuristicResult_t* result, int* found) {
  ++emulator::heuristic_calls;
  *found = emulator::types_fit(*product, *a, *b, *d) && emulator::layouts_fit(*product, *a, *b, *d) ? 1 : 0;
  if (*found == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  const auto preferred = [&](int attribute, std::uint64_t otherwise) {
    const auto at = preference->find(attribute);
    return at == preference->end() ? otherwise : at->second;
  };
  result->workspaceSize = preferred(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 0);
  result->algo = {{preferred(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 256),
                   preferred(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 256),
                   preferred(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 256),
                   preferred(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 256), result->workspaceSize}};
  result->state = CUBLAS_STATUS_SUCCESS;
  return CUBLAS_STATUS_SUCCESS;
}

namespace emulator {

/// A call of cublasLtMatmul, with all that it says by value.
struct ProductCall {
  Product product;
  Layout of_a, of_b, of_c, of_d;
  double scale, old;
  const void *a, *b, *c;
  void *d, *workspace;
  std::size_t workspace_bytes;

  void operator()() const {
    const Memory::Opened opened;
    std::memset(workspace, 0xff, workspace_bytes);
    const bool tf32 = product.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    const auto factor = [&](const void* data, const Layout& x, bool transposed, std::int64_t matrix,
                            std::int64_t row, std::int64_t column) {
      const auto at = transposed ? column + row * x.stride : row + column * x.stride;
      const double value = element(data, x.type, matrix * x.step + at);
      return tf32 ? rounded_to_tf32(value) : value;
    };
    const std::int64_t inner = product.left == CUBLAS_OP_T ? of_a.rows : of_a.columns;
    for (std::int64_t matrix = 0; matrix < of_d.count; ++matrix)
      for (std::int64_t column = 0; column < of_d.columns; ++column)
        for (std::int64_t row = 0; row < of_d.rows; ++row) {
          double sum = 0;
          for (std::int64_t l = 0; l < inner; ++l)
            sum += factor(a, of_a, product.left == CUBLAS_OP_T, matrix, row, l) *
                   factor(b, of_b, product.right == CUBLAS_OP_T, matrix, l, column);
          sum *= scale;
          if (old != 0) sum += old * element(c, of_c.type, matrix * of_c.step + row + column * of_c.stride);
          if (product.has_bias()) sum += element(product.bias, of_d.type, row);
          const std::int64_t before = row + column * product.before_stride;
          if (product.epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS) {
            set_element(product.before, of_d.type, before, sum);
            sum = gelu(sum);
          }
          if (product.epilogue == CUBLASLT_EPILOGUE_DGELU)
            sum *= gelu_slope(element(product.before, of_d.type, before));
          set_element(d, of_d.type, matrix * of_d.step + row + column * of_d.stride, sum);
        }
    if (!product.has_sums()) return;
    const bool of_left = product.epilogue == CUBLASLT_EPILOGUE_BGRADA;
    for (std::int64_t i = 0; i < (of_left ? of_d.rows : of_d.columns); ++i) {
      double sum = 0;
      for (std::int64_t l = 0; l < inner; ++l)
        sum += of_left ? factor(a, of_a, product.left == CUBLAS_OP_T, 0, i, l)
                       : factor(b, of_b, product.right == CUBLAS_OP_T, 0, l, i);
      set_element(const_cast<void*>(product.bias), of_d.type, i, sum);
    }
  }
};

}  // namespace emulator

inline cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha,
                                     const void* a, cublasLtMatrixLayout_t of_a, const void* b,
                                     cublasLtMatrixLayout_t of_b, const void* beta, const void* c,
                                     cublasLtMatrixLayout_t of_c, void* d, cublasLtMatrixLayout_t of_d,
                                     const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                                     std::size_t workspace_bytes, cudaStream_t) {
  const void* const pointers[] = {a, b, c, d};
  for (std::size_t i = 0; i < 4; ++i)
    if (reinterpret_cast<std::uintptr_t>(pointers[i]) % algorithm->data[i] != 0)
      return CUBLAS_STATUS_NOT_SUPPORTED;
  emulator::gelu_products += product->has_before() ? 1 : 0;
  emulator::summing_products += product->has_sums() ? 1 : 0;
  if (product->bias != nullptr && reinterpret_cast<std::uintptr_t>(product->bias) % algorithm->data[3] != 0)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!emulator::types_fit(*product, *of_a, *of_b, *of_d) ||
      !emulator::layouts_fit(*product, *of_a, *of_b, *of_d) || workspace_bytes < algorithm->data[4])
    return CUBLAS_STATUS_INVALID_VALUE;
  const emulator::ProductCall call{*product,
                                   *of_a,
                                   *of_b,
                                   *of_c,
                                   *of_d,
                                   emulator::element(alpha, product->scale, 0),
                                   emulator::element(beta, product->scale, 0),
                                   a,
                                   b,
                                   c,
                                   d,
                                   workspace,
                                   workspace_bytes};
  return emulator::StreamCapture::instance().give(call) == cudaSuccess ? CUBLAS_STATUS_SUCCESS
                                                                       : CUBLAS_STATUS_INVALID_VALUE;
}
