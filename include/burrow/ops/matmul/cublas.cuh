// cuBLASLt as matrix products call it: row-major matrices, a plan for each arrangement that is made once, and
// workspace from the pool.
#pragma once

#include <cublasLt.h>

#include <array>
#include <bit>
#include <cstdint>
#include <map>

#include <burrow/core/cuda.cuh>
#include <burrow/core/dtype.hpp>

namespace burrow::cuda {

/// Throws Error, which names what failed, for every status but success.
inline void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(std::string{"cuda: "} + what + ": cuBLASLt says " + cublasLtGetStatusString(status));
}

/// Element types that cuBLASLt multiplies; sums are fp32, of double double.
template <class T>
concept Multipliable = std::same_as<T, float> || std::same_as<T, double> || Narrow<T>;

template <Multipliable T>
constexpr cudaDataType_t data_type() {
  if constexpr (std::same_as<T, float>) return CUDA_R_32F;
  if constexpr (std::same_as<T, double>) return CUDA_R_64F;
  if constexpr (std::same_as<T, half>) return CUDA_R_16F;
  return CUDA_R_16BF;
}

/// The largest power of two, up to 256, that divides an address.
inline Index alignment_of(const void* data) {
  return Index{1} << std::countr_zero(reinterpret_cast<std::uintptr_t>(data) | 256u);
}

/// Row-major matrices in memory, or transposes of them: one, or several `step` elements apart.
struct ProductMatrix {
  const void* data;
  Index stride;
  Index step = 0;
  bool transposed = false;
};

/// What is done with a product before it is written: nothing; a bias, a row added to each row; or with the
/// GELU (that by tanh), whose argument is written to `before`, or by whose derivative there the product is
/// multiplied. Or what is done beside it: sums of a factor over the inner extent, which are the gradient of a
/// bias where the product is that of the weights behind it.
struct Epilogue {
  cublasLtEpilogue_t kind = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;  // or where its gradient goes, of the result's type
  const void* before = nullptr;
  Index before_stride = 0;

  static Epilogue with_bias(const void* bias) {
    if (bias == nullptr) return {};
    return {CUBLASLT_EPILOGUE_BIAS, bias};
  }
  /// The sums of the columns of the right factor, which is the library's A.
  static Epilogue with_column_sums(void* sums) { return {CUBLASLT_EPILOGUE_BGRADA, sums}; }
  /// The sums of the rows of the left factor, its B.
  static Epilogue with_row_sums(void* sums) { return {CUBLASLT_EPILOGUE_BGRADB, sums}; }

  /// Whether it is one that the library may lack for some types or extents.
  bool may_be_missing() const { return kind != CUBLASLT_EPILOGUE_DEFAULT && kind != CUBLASLT_EPILOGUE_BIAS; }
};

/// "matmul of Shape<8, 4, 3> x Shape<8, 3, 2>, bf16".
inline std::string product_name(cudaDataType_t type, Index batch, Index m, Index n, Index k) {
  const std::array<Index, 3> left{batch, m, k}, right{batch, k, n};
  const std::size_t unused = batch == 1 ? 1 : 0;
  const auto shape = [unused](const std::array<Index, 3>& extents) {
    return burrow::detail::shape_text(extents.data() + unused, extents.size() - unused);
  };
  const char* const name = type == CUDA_R_16BF  ? "bf16"
                           : type == CUDA_R_16F ? "half"
                           : type == CUDA_R_64F ? "double"
                                                : "float";
  return "matmul of " + shape(left) + " x " + shape(right) + ", " + name;
}

/// A product as cuBLASLt carries it out: the arrangement, and the algorithm that its heuristic chose for it.
class ProductPlan {
 public:
  struct Types {
    cudaDataType_t factor, result;
    cublasComputeType_t compute;
    cudaDataType_t scale;
  };

  ProductPlan(cublasLtHandle_t handle, const Types& types, Index batch, Index m, Index n, Index k,
              const ProductMatrix& a, const ProductMatrix& b, const ProductMatrix& c,
              const Epilogue& epilogue)
      : name_{product_name(types.factor, batch, m, n, k)} {
    check(cublasLtMatmulDescCreate(&operation_, types.compute, types.scale), "matmul");
    const cublasOperation_t transpose = CUBLAS_OP_T;
    if (b.transposed) set(CUBLASLT_MATMUL_DESC_TRANSA, transpose);
    if (a.transposed) set(CUBLASLT_MATMUL_DESC_TRANSB, transpose);
    if (epilogue.kind != CUBLASLT_EPILOGUE_DEFAULT) set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue.kind);
    if (epilogue.before != nullptr)
      set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, static_cast<std::int64_t>(epilogue.before_stride));
    set_pointers(epilogue);
    // The transposed product: b is the left factor.
    left_ = layout(types.factor, b.transposed ? k : n, b.transposed ? n : k, b, batch);
    right_ = layout(types.factor, a.transposed ? m : k, a.transposed ? k : m, a, batch);
    result_ = layout(types.result, n, m, c, batch);
    choose(handle, a, b, c, epilogue);
  }
  ProductPlan(const ProductPlan&) = delete;  // plans last as long as the process

  /// Whether the library can do it; if not, it has said so of an epilogue that may be missing.
  bool possible() const { return possible_; }

  /// c = a b, + c where `accumulate`, with the epilogue of the plan.
  template <class Scale>
  void run(cublasLtHandle_t handle, const void* a, const void* b, bool accumulate, void* c,
           const Epilogue& epilogue) const {
    set_pointers(epilogue);
    const Scale one(1), beta(accumulate ? 1 : 0);
    const Buffer<Cuda> workspace{static_cast<Index>(workspace_bytes_)};
    auto& context = Context::instance();
    check(cublasLtMatmul(handle, operation_, &one, b, left_, a, right_, &beta, c, result_, c, result_,
                         &algorithm_, workspace.data(), workspace_bytes_, context.stream()),
          name_.c_str());
    context.begins("matmul");
  }

 private:
  static constexpr std::size_t most_workspace = std::size_t{32} << 20;

  template <class V>
  void set(cublasLtMatmulDescAttributes_t attribute, const V& value) const {
    check(cublasLtMatmulDescSetAttribute(operation_, attribute, &value, sizeof(value)), "matmul");
  }

  void set_pointers(const Epilogue& epilogue) const {
    if (epilogue.bias != nullptr) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, epilogue.bias);
    if (epilogue.before != nullptr) set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, epilogue.before);
  }

  static cublasLtMatrixLayout_t layout(cudaDataType_t type, Index rows, Index columns, const ProductMatrix& x,
                                       Index batch) {
    cublasLtMatrixLayout_t result = nullptr;
    check(cublasLtMatrixLayoutCreate(&result, type, static_cast<std::uint64_t>(rows),
                                     static_cast<std::uint64_t>(columns), x.stride),
          "matmul");
    const auto count = static_cast<std::int32_t>(batch);
    const std::int64_t step = x.step;
    if (batch > 1) {
      check(
          cublasLtMatrixLayoutSetAttribute(result, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count)),
          "matmul");
      check(cublasLtMatrixLayoutSetAttribute(result, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step,
                                             sizeof(step)),
            "matmul");
    }
    return result;
  }

  void choose(cublasLtHandle_t handle, const ProductMatrix& a, const ProductMatrix& b, const ProductMatrix& c,
              const Epilogue& epilogue) {
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "matmul");
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)), "matmul");
    };
    const auto alignment = [](const void* data) { return static_cast<std::uint32_t>(alignment_of(data)); };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, most_workspace);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment(b.data));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment(a.data));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment(c.data));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::min(alignment(c.data), alignment(epilogue.bias)));
    cublasLtMatmulHeuristicResult_t choice{};
    int found = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(handle, operation_, left_, right_, result_,
                                                                 result_, preference, 1, &choice, &found);
    cublasLtMatmulPreferenceDestroy(preference);
    possible_ = status == CUBLAS_STATUS_SUCCESS && found > 0;
    const bool may_be_impossible = epilogue.may_be_missing() && status != CUBLAS_STATUS_INVALID_VALUE;
    if (!possible_ && !may_be_impossible)
      check(status == CUBLAS_STATUS_SUCCESS ? CUBLAS_STATUS_NOT_SUPPORTED : status,
            (name_ + ": the choice of an algorithm").c_str());
    algorithm_ = choice.algo;
    workspace_bytes_ = choice.workspaceSize;
  }

  std::string name_;  // what errors say
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t left_ = nullptr, right_ = nullptr, result_ = nullptr;
  cublasLtMatmulAlgo_t algorithm_{};
  std::size_t workspace_bytes_ = 0;
  bool possible_ = false;
};

/// The plans made so far, by arrangement.
class ProductPlans {
 public:
  using Arrangement = std::array<Index, 20>;

  static ProductPlans& instance() {
    static ProductPlans* const plans = new ProductPlans;
    return *plans;
  }

  bool tf32 = false;  // see allow_tf32

  cublasLtHandle_t handle() const { return handle_; }
  std::size_t size() const { return plans_.size(); }

  const ProductPlan& find(const ProductPlan::Types& types, Index batch, Index m, Index n, Index k,
                          const ProductMatrix& a, const ProductMatrix& b, const ProductMatrix& c,
                          const Epilogue& epilogue) {
    const Arrangement arrangement{
        Index{types.factor},
        Index{types.result},
        Index{types.compute},
        batch,
        m,
        n,
        k,
        a.stride,
        a.step,
        a.transposed,
        b.stride,
        b.step,
        b.transposed,
        c.stride,
        c.step,
        alignment_of(a.data),
        alignment_of(b.data),
        alignment_of(c.data),
        Index{epilogue.kind} << 32 | alignment_of(epilogue.bias) << 16 | alignment_of(epilogue.before),
        epilogue.before_stride};
    const auto known = plans_.find(arrangement);
    if (known != plans_.end()) return known->second;
    return plans_.try_emplace(arrangement, handle_, types, batch, m, n, k, a, b, c, epilogue).first->second;
  }

 private:
  ProductPlans() {
    Context::instance();
    check(cublasLtCreate(&handle_), "matmul: the library");
  }

  cublasLtHandle_t handle_ = nullptr;
  std::map<Arrangement, ProductPlan> plans_;
};

/// Lets products of fp32 round their operands to tf32 (10 bits of mantissa), on tensor cores. Off by default.
inline void allow_tf32(bool allowed) { ProductPlans::instance().tf32 = allowed; }

/// c (+)= a b for `batch` products of m x k and k x n of T, with results of O. c is not transposed. False,
/// and nothing is done, where the library does not have the epilogue for them, though it may have others.
template <Multipliable T, Multipliable O>
bool multiply(Index batch, Index m, Index n, Index k, const ProductMatrix& a, const ProductMatrix& b,
              bool accumulate, const ProductMatrix& c, const Epilogue& epilogue) {
  constexpr bool wide = std::same_as<T, double>;
  using Scale = std::conditional_t<wide, double, float>;
  auto& plans = ProductPlans::instance();
  const bool tf32 = std::same_as<T, float> && plans.tf32;
  const ProductPlan::Types types{data_type<T>(), data_type<O>(),
                                 wide   ? CUBLAS_COMPUTE_64F
                                 : tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                        : CUBLAS_COMPUTE_32F,
                                 data_type<Scale>()};
  const ProductPlan& plan = plans.find(types, batch, m, n, k, a, b, c, epilogue);
  if (plan.possible())
    plan.template run<Scale>(plans.handle(), a.data, b.data, accumulate, const_cast<void*>(c.data), epilogue);
  return plan.possible();
}

}  // namespace burrow::cuda
