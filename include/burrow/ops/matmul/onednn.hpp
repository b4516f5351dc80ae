// Products by oneDNN's matmul primitives, in programs that link burrow::onednn. Primitives are kept by shape
// and thread, scratch memory comes from the pool, and the threads are burrow's.
#pragma once

#include <burrow/ops/matmul/kernel.hpp>

#ifdef BURROW_WITH_ONEDNN
#include <oneapi/dnnl/dnnl.h>

#include <atomic>
#include <compare>
#include <map>
#include <string_view>

extern "C" {
int omp_get_max_threads(void);
void omp_set_num_threads(int);
}

namespace burrow::cpu {

/// Has burrow's own kernel multiply while it lives: for tests and comparisons.
class WithoutOnednn {
 public:
  WithoutOnednn() { ++living(); }
  ~WithoutOnednn() { --living(); }
  WithoutOnednn(const WithoutOnednn&) = delete;
  WithoutOnednn& operator=(const WithoutOnednn&) = delete;

  static std::atomic<int>& living() {
    static std::atomic<int> count{0};
    return count;
  }
};

namespace detail {

inline void check_onednn(dnnl_status_t status, const char* call) {
  if (status != dnnl_success)
    throw Error(std::string("matmul: oneDNN's ") + call + " failed with status " + std::to_string(status));
}

/// True where oneDNN multiplies T by more than its reference loops.
template <class T>
bool onednn_multiplies() {
  if (WithoutOnednn::living() > 0) return false;
  constexpr int needed = dnnl_cpu_isa_avx512_core;
  if constexpr (std::same_as<T, bf16>) return (dnnl_get_effective_cpu_isa() & needed) == needed;
  return std::same_as<T, float>;
}

/// Keeps oneDNN's own threads asleep while it lives: the threads are ours.
class OneOmpThread {
 public:
  OneOmpThread() { omp_set_num_threads(1); }
  OneOmpThread(const OneOmpThread&) = delete;
  OneOmpThread& operator=(const OneOmpThread&) = delete;
  ~OneOmpThread() { omp_set_num_threads(before_); }

 private:
  int before_ = omp_get_max_threads();
};

inline dnnl_engine_t onednn_engine() {
  static const dnnl_engine_t engine = [] {  // outlives every thread's primitives
    dnnl_engine_t made{};
    check_onednn(dnnl_engine_create(&made, dnnl_cpu, 0), "dnnl_engine_create");
    return made;
  }();
  return engine;
}

enum class OnednnAddend { nothing, itself, row };

/// What a primitive computes: c = alpha a b + addend.
struct OnednnProduct {
  Index m, n, k, a_stride, b_stride, c_stride;
  bool a_transposed, b_transposed;
  dnnl_data_type_t operands, result;
  OnednnAddend addend;
  float alpha;

  auto operator<=>(const OnednnProduct&) const = default;
};

/// A primitive and its arguments, for one thread.
class OnednnPrimitive {
 public:
  explicit OnednnPrimitive(const OnednnProduct& p) {
    const auto described = [](Index rows, Index columns, Index stride, bool transposed,
                              dnnl_data_type_t type) {
      dnnl_memory_desc_t result;
      const dnnl_dims_t extents = {rows, columns},
                        strides = {transposed ? 1 : stride, transposed ? stride : 1};
      check_onednn(dnnl_memory_desc_init_by_strides(&result, 2, extents, type, strides),
                   "dnnl_memory_desc_init_by_strides");
      return result;
    };
    const auto a = described(p.m, p.k, p.a_stride, p.a_transposed, p.operands);
    const auto b = described(p.k, p.n, p.b_stride, p.b_transposed, p.operands);
    const auto c = described(p.m, p.n, p.c_stride, false, p.result);
    const auto row = described(1, p.n, p.n, false, p.result);
    const bool biased = p.addend == OnednnAddend::row;
    dnnl_matmul_desc_t product;
    check_onednn(dnnl_matmul_desc_init(&product, &a, &b, biased ? &row : nullptr, &c),
                 "dnnl_matmul_desc_init");
    make(product, p);
    if (!fast()) return;
    const auto bind = [&](int argument, const dnnl_memory_desc_t& memory) {
      dnnl_memory_t made{};
      check_onednn(dnnl_memory_create(&made, &memory, onednn_engine(), DNNL_MEMORY_NONE),
                   "dnnl_memory_create");
      arguments_[static_cast<std::size_t>(count_++)] = {argument, made};
    };
    const auto* const scratch = dnnl_primitive_desc_query_md(description_, dnnl_query_scratchpad_md, 0);
    scratch_bytes_ = static_cast<Index>(dnnl_memory_desc_get_size(scratch));
    bind(DNNL_ARG_SRC, a);
    bind(DNNL_ARG_WEIGHTS, b);
    bind(DNNL_ARG_DST, c);
    bind(DNNL_ARG_SCRATCHPAD, *scratch);
    if (biased) bind(DNNL_ARG_BIAS, row);
  }
  OnednnPrimitive(const OnednnPrimitive&) = delete;
  OnednnPrimitive& operator=(const OnednnPrimitive&) = delete;
  ~OnednnPrimitive() {
    for (int i = 0; i < count_; ++i) dnnl_memory_destroy(arguments_[static_cast<std::size_t>(i)].memory);
    if (primitive_ != nullptr) dnnl_primitive_destroy(primitive_);
    if (description_ != nullptr) dnnl_primitive_desc_destroy(description_);
  }

  /// False where oneDNN has nothing or no more than reference loops for this product.
  bool fast() const { return primitive_ != nullptr; }

  void run(dnnl_stream_t stream, const void* a, const void* b, void* c, const void* row) const {
    const Buffer<Cpu> scratch{std::max<Index>(scratch_bytes_, 1), MemoryUse::scratch};
    void* const places[] = {const_cast<void*>(a), const_cast<void*>(b), c, scratch.data(),
                            const_cast<void*>(row)};
    for (int i = 0; i < count_; ++i)
      check_onednn(dnnl_memory_set_data_handle(arguments_[static_cast<std::size_t>(i)].memory, places[i]),
                   "dnnl_memory_set_data_handle");
    check_onednn(dnnl_primitive_execute(primitive_, stream, count_, arguments_.data()),
                 "dnnl_primitive_execute");
    check_onednn(dnnl_stream_wait(stream), "dnnl_stream_wait");
  }

 private:
  void make(const dnnl_matmul_desc_t& product, const OnednnProduct& p) {
    dnnl_primitive_attr_t attributes{};
    check_onednn(dnnl_primitive_attr_create(&attributes), "dnnl_primitive_attr_create");
    dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (p.alpha != 1) dnnl_primitive_attr_set_output_scales(attributes, 1, 0, &p.alpha);
    if (p.addend == OnednnAddend::itself) {
      dnnl_post_ops_t after{};
      dnnl_post_ops_create(&after);
      dnnl_post_ops_append_sum(after, 1.0f);
      dnnl_primitive_attr_set_post_ops(attributes, after);
      dnnl_post_ops_destroy(after);
    }
    const auto status =
        dnnl_primitive_desc_create(&description_, &product, attributes, onednn_engine(), nullptr);
    dnnl_primitive_attr_destroy(attributes);
    if (status == dnnl_unimplemented) return;
    check_onednn(status, "dnnl_primitive_desc_create");
    const char* name = "";
    dnnl_primitive_desc_query(description_, dnnl_query_impl_info_str, 0, &name);
    if (std::string_view(name).starts_with("ref")) return;
    check_onednn(dnnl_primitive_create(&primitive_, description_), "dnnl_primitive_create");
  }

  dnnl_primitive_desc_t description_ = nullptr;
  dnnl_primitive_t primitive_ = nullptr;
  std::array<dnnl_exec_arg_t, 5> arguments_{};
  int count_ = 0;
  Index scratch_bytes_ = 0;
};

/// The calling thread's primitives.
class OnednnPrimitives {
 public:
  static OnednnPrimitives& of_thread() {
    thread_local OnednnPrimitives primitives;
    return primitives;
  }
  OnednnPrimitives(const OnednnPrimitives&) = delete;
  OnednnPrimitives& operator=(const OnednnPrimitives&) = delete;

  const OnednnPrimitive& operator()(const OnednnProduct& product) {
    if (made_.size() >= most && made_.count(product) == 0) made_.clear();
    return made_.try_emplace(product, product).first->second;
  }
  dnnl_stream_t stream() const { return stream_; }

 private:
  static constexpr std::size_t most = 1024;

  OnednnPrimitives() {
    check_onednn(dnnl_stream_create(&stream_, onednn_engine(), dnnl_stream_default_flags),
                 "dnnl_stream_create");
  }
  ~OnednnPrimitives() {
    made_.clear();
    dnnl_stream_destroy(stream_);
  }

  dnnl_stream_t stream_{};
  std::map<OnednnProduct, OnednnPrimitive> made_;
};

/// A matrix of T: x where it lies, or a rounded copy of it.
template <class T, class A>
class OnednnOperand {
 public:
  OnednnOperand(Matrix<const A> x, Index rows, Index columns) {
    if constexpr (std::same_as<T, A>) {
      matrix = x;
    } else {
      const Index lines = x.transposed ? columns : rows, length = x.transposed ? rows : columns;
      copy_ = Buffer<Cpu>{lines * length * Index{sizeof(T)}, MemoryUse::scratch};
      T* const to = static_cast<T*>(copy_.data());
      using P = Packet<compute_type<T>>;
      for (Index i = 0; i < lines; ++i)
        for (Index j = 0; j < length; j += P::size) {
          const Index count = std::min<Index>(P::size, length - j);
          P::load(x.data + i * x.stride + j, count).store(to + i * length + j, count);
        }
      matrix = {to, length, x.transposed};
    }
  }

  Matrix<const T> matrix{};

 private:
  Buffer<Cpu> copy_{};
};

template <class T, class A, class B, class O>
inline constexpr bool fits_onednn =
    (std::same_as<T, float> && std::same_as<A, float> && std::same_as<B, float> && std::same_as<O, float>) ||
    (std::same_as<T, bf16> &&
     (std::same_as<A, bf16> || std::same_as<A, float>)&&(std::same_as<B, bf16> ||
                                                         std::same_as<B, float>)&&(std::same_as<O, bf16> ||
                                                                                   std::same_as<O, float>));

/// c = alpha a b + addend by oneDNN on the calling thread; false, with nothing done, where it has no fast
/// way.
template <class T, class A, class B, class O>
bool multiply_by_onednn(Index m, Index n, Index k, float alpha, Matrix<const A> a, Matrix<const B> b,
                        Destination<O> c) {
  if (!onednn_multiplies<T>()) return false;
  auto addend = OnednnAddend::nothing;
  if (c.addend == c.data && c.addend != nullptr && c.addend_stride == c.stride)
    addend = OnednnAddend::itself;
  else if (c.addend != nullptr && c.addend_stride == 0 && alpha == 1)  // oneDNN scales the row as well
    addend = OnednnAddend::row;
  else if (c.addend != nullptr)
    return false;
  const OneOmpThread scope;
  const OnednnOperand<T, A> left{a, m, k};
  const OnednnOperand<T, B> right{b, k, n};
  const auto type = []<class E>(std::type_identity<E>) {
    return std::same_as<E, bf16> ? dnnl_bf16 : dnnl_f32;
  };
  auto& primitives = OnednnPrimitives::of_thread();
  const auto& primitive = primitives(
      {m, n, k, left.matrix.stride, right.matrix.stride, c.stride, left.matrix.transposed,
       right.matrix.transposed, type(std::type_identity<T>{}), type(std::type_identity<O>{}), addend, alpha});
  if (!primitive.fast()) return false;
  primitive.run(primitives.stream(), left.matrix.data, right.matrix.data, c.data, c.addend);
  return true;
}

}  // namespace detail
}  // namespace burrow::cpu

#endif
