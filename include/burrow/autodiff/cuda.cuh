// The reverse sweep of a fused expression on a CUDA device: a kernel evaluates the expression again in
// registers and pushes the gradient from the root to the leaves, as the CPU's loop does. Gradients of leaves
// that repeat are sums: the kernel is then the first stage of a reduction, one for each such leaf.
#pragma once

#include <burrow/autodiff/pullback.hpp>
#include <burrow/autodiff/strided.cuh>
#include <burrow/tensor/cuda.cuh>

namespace burrow::detail {

// What becomes of the gradient of a leaf in one kernel. A leaf whose turn it is not has a NoSink.

/// It is written or added to elements that only this thread touches; to nowhere where data is null.
template <class T, std::size_t Rank>
struct WrittenGradient {
  T* data;
  bool accumulate;
  Steps<Rank> steps;
};
/// It is summed.
template <class T>
struct SummedGradient {};

/// The gradient of one leaf for a piece, in registers.
template <class C, int Each>
struct CollectedGradient {
  C values[Each];

  constexpr void add(Packet<C, 1> value, Index k, Index, bool) { values[k] = value.v; }
};

/// Registers for all leaves of a tree of targets.
template <int Each>
constexpr NoSink collected(const NoSink&) {
  return {};
}
template <int Each, class T, std::size_t Rank>
constexpr auto collected(const WrittenGradient<T, Rank>&) {
  return CollectedGradient<compute_type<T>, Each>{};
}
template <int Each, class T>
constexpr auto collected(const SummedGradient<T>&) {
  return CollectedGradient<compute_type<T>, Each>{};
}
template <int Each, class... S>
constexpr auto collected(const SinkList<S...>& targets) {
  return detail::apply(
      [](const auto&... t) {
        return SinkList<decltype(collected<Each>(t))...>{
            Tuple<decltype(collected<Each>(t))...>{collected<Each>(t)...}};
      },
      targets.sinks);
}

/// Hands on what has been collected, from the first leaf to the last.
template <int Each, class Coordinates, class Take>
__device__ void hand_on(const NoSink&, const NoSink&, const Coordinates&, const Piece&, const Take&) {}
template <int Each, class T, std::size_t Rank, class C, class Take>
__device__ void hand_on(const WrittenGradient<T, Rank>& target, CollectedGradient<C, Each>& gradient,
                        const std::array<Index, Rank>& coordinates, const Piece& piece, const Take&) {
  if (target.data == nullptr) return;
  T* const row = target.data + target.steps.row_offset(coordinates);
  if (target.accumulate) {
    T old[Each];
    if (piece.whole) {
      cuda::load_elements<Each>(row + piece.i, old);
    } else {
#pragma unroll
      for (int k = 0; k < Each; ++k) old[k] = k < piece.count ? row[piece.i + k] : T(0);
    }
#pragma unroll
    for (int k = 0; k < Each; ++k) gradient.values[k] += static_cast<C>(old[k]);
  }
  store_piece<Each>(row, gradient.values, piece);
}
template <int Each, class T, class Coordinates, class C, class Take>
__device__ void hand_on(const SummedGradient<T>&, CollectedGradient<C, Each>& gradient, const Coordinates&,
                        const Piece& piece, const Take& take) {
#pragma unroll
  for (int k = 0; k < Each; ++k)
    if (k < piece.count) take(k, gradient.values[k]);
}
template <int Each, class... S, class... G, class Coordinates, class Take>
__device__ void hand_on(const SinkList<S...>& targets, SinkList<G...>& gradients,
                        const Coordinates& coordinates, const Piece& piece, const Take& take) {
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    (hand_on<Each>(detail::get<I>(targets.sinks), detail::get<I>(gradients.sinks), coordinates, piece, take),
     ...);
  }
  (std::index_sequence_for<S...>{});
}

/// Sweeps an expression backwards, piece by piece.
template <class Source, class Gradient, class Targets>
struct SweepVisitor {
  Source source;
  Gradient gradient;
  Targets targets;

  /// Writes what is written and calls take(k, value) with what is summed.
  template <int Each, class Coordinates, class Take>
  __device__ void visit(const Coordinates& coordinates, const Piece& piece, const Take& take) const {
    using W = compute_type<typename Source::element>;
    Source cursor = source;
    Gradient gradient_cursor = gradient;
    cursor.seek(coordinates);
    gradient_cursor.seek(coordinates);
    const auto fetched = fetch<Each>(cursor, piece);
    const auto fetched_gradient = fetch<Each>(gradient_cursor, piece);
    auto gradients = collected<Each>(targets);
#pragma unroll
    for (int k = 0; k < Each; ++k) {
      const auto g = convert<W>(fetched_gradient.template at<float, 1, true>(k, 1));
      SweepStep<float, 1, true>{k, 1}.sweep(fetched, gradients, [&](auto, const auto& push) { push(g); });
    }
    hand_on<Each>(targets, gradients, coordinates, piece, take);
  }
};

template <int Each, std::size_t Rank, class Visitor>
__global__ void pull_back_kernel(LoopNest<Rank> nest, RowPieces pieces, Visitor visitor) {
  const Index step = Index{gridDim.x} * blockDim.x, count = nest.rows * pieces.per_row;
  for (Index p = Index{blockIdx.x} * blockDim.x + threadIdx.x; p < count; p += step) {
    const auto [row, number] = divide(p, pieces.per_row);
    visitor.template visit<Each>(row_coordinates(nest, row), pieces.template piece<Each>(number),
                                 [](int, auto) {});
  }
}

/// Writes a sum as the gradient of an element, or adds it.
template <class T>
struct WriteGradient {
  T* to;
  bool accumulate;
  template <class A>
  constexpr void operator()(Index j, A sum) const {
    to[j] = static_cast<T>(static_cast<compute_type<T>>(
        accumulate ? static_cast<A>(static_cast<compute_type<T>>(to[j])) + sum : sum));
  }
};

/// The gradient of one leaf of an expression: straight into its slot, or through a dense array.
template <class Leaf, class Out, int Inner>
class CudaLeafGradient {
 public:
  using element = typename Leaf::element;
  using shape_type = typename Leaf::shape_type;

 private:
  using T = element;
  using S = shape_type;
  static constexpr std::size_t rank = static_cast<std::size_t>(Out::rank - Inner);

 public:
  static constexpr bool sums = sums_gradient<S, Out>;
  static constexpr int summed = sums ? 1 : 0;

  CudaLeafGradient(const Leaf& leaf, Tape& tape) : CudaLeafGradient{leaf, on_tape(leaf, tape)} {}

  /// What the kernel of number `Pass` does with this leaf, the summed one of number First.
  template <int Pass, int First>
  auto target() {
    if constexpr (sums) {
      if constexpr (Pass == First)
        return SummedGradient<T>{};
      else
        return NoSink{};
    } else if constexpr (Pass == 0) {
      if (wanted_) std::tie(data_, accumulate_) = place();
      return WrittenGradient<T, rank>{data_, accumulate_, steps()};
    } else {
      return NoSink{};
    }
  }

  bool wanted() const { return wanted_; }
  Steps<rank> steps() const { return steps_of<S, Out, Inner>(row_major_strides(shape_.values())); }
  Index size() const { return shape_.size(); }
  bool starts_whole(Index each) const {
    return sums || data_ == nullptr || detail::starts_whole(data_, steps(), each);
  }

  /// Where the sums of this leaf go.
  WriteGradient<T> write() {
    std::tie(data_, accumulate_) = place();
    return {data_, accumulate_};
  }

  /// Adds what went to a dense array to the slot.
  void finish() {
    if (!dense_ || !wanted_) return;
    const bool once = !repeats_elements(shape_.values(), strides_);
    const auto [to, accumulate] = tape_.template gradient_data<T>(slot_, offset_, once ? size() : 0);
    add_strided<T, T>(Cuda{}, shape_.values(), strides_, to, accumulate,
                      static_cast<const T*>(dense_.data()));
  }

 private:
  template <class Variable>
  CudaLeafGradient(const Leaf& leaf, const Variable& variable)
      : tape_{variable.tape()},
        slot_{variable.slot()},
        offset_{variable.offset()},
        shape_{leaf.shape()},
        strides_{leaf.view().strides()},
        wanted_{tape_.wanted(slot_)} {}

  static decltype(auto) on_tape(const Leaf& leaf, Tape& tape) {
    if constexpr (is_parametric<Leaf>)
      return leaf.on(tape);
    else
      return (leaf);
  }

  std::pair<T*, bool> place() {
    if (wanted_ && Leaf::contiguous && tape_.slot_size(slot_) == size())
      return tape_.template gradient_data<T>(slot_, offset_, size());
    dense_ = Buffer<Cuda>{size() * Index{sizeof(T)}};
    return {static_cast<T*>(dense_.data()), false};
  }

  Tape& tape_;
  int slot_;
  Index offset_;
  S shape_;
  std::array<Index, S::extents.size()> strides_;
  bool wanted_, accumulate_ = false;
  T* data_ = nullptr;
  Buffer<Cuda> dense_;
};

/// The gradients of a node's leaves: here, of one that has none.
template <class Node, class Out, int Inner>
struct CudaGradients {
  static constexpr int summed = 0;
  CudaGradients(const Node&, Tape&) {}
  template <int, int>
  NoSink target() {
    return {};
  }
  template <class F>
  void each(const F&) {}
};

template <class Leaf, class Out, int Inner>
requires differentiable_leaf<Leaf>
struct CudaGradients<Leaf, Out, Inner> : CudaLeafGradient<Leaf, Out, Inner> {
  using CudaLeafGradient<Leaf, Out, Inner>::CudaLeafGradient;
  template <class F>
  void each(const F& f) {
    f(*this);
  }
};

template <class F, class... Args, class Out, int Inner>
requires differentiable<Map<F, Args...>>
class CudaGradients<Map<F, Args...>, Out, Inner> {
 public:
  static constexpr int summed = (CudaGradients<Args, Out, Inner>::summed + ...);

  CudaGradients(const Map<F, Args...>& node, Tape& tape)
      : arguments_{detail::apply(
            [&](const auto&... a) {
              return Tuple<CudaGradients<Args, Out, Inner>...>{CudaGradients<Args, Out, Inner>{a, tape}...};
            },
            node.arguments())} {}

  template <int Pass, int First>
  auto target() {
    return targets<Pass, First>(std::index_sequence_for<Args...>{});
  }
  /// f(gradient) for each leaf that can have one, from the first to the last.
  template <class Each>
  void each(const Each& f) {
    detail::apply([&](auto&... a) { (a.each(f), ...); }, arguments_);
  }

 private:
  template <int Pass, int First, std::size_t... I>
  auto targets(std::index_sequence<I...>) {
    // In braces, so that slots are asked for in the order of the leaves.
    Tuple made{detail::get<I>(arguments_).template target<Pass, First + summed_before<I>>()...};
    return SinkList<
        decltype(detail::get<I>(arguments_).template target<Pass, First + summed_before<I>>())...>{made};
  }
  template <std::size_t I>
  static constexpr int summed_before = [] {
    constexpr std::array<int, sizeof...(Args)> counts{CudaGradients<Args, Out, Inner>::summed...};
    int before = 0;
    for (std::size_t i = 0; i < I; ++i) before += counts[i];
    return before;
  }();

  Tuple<CudaGradients<Args, Out, Inner>...> arguments_;
};

/// The kernels of a pullback, one to a leaf that sums, one at least: `Pass` counts them.
template <int Pass, int Inner, class Node, class Gradient, class Gradients>
void pull_back_pass(const Node& node, const Gradient& gradient, Gradients& gradients) {
  using Out = typename Node::shape_type;
  const auto source = lowered<Out, Inner>(node);
  const auto from = lowered<Out, Inner>(gradient);
  const auto targets = gradients.template target<Pass, 0>();
  using Source = std::remove_const_t<decltype(source)>;
  using From = std::remove_const_t<decltype(from)>;
  using Visitor = SweepVisitor<Source, From, std::remove_const_t<decltype(targets)>>;
  constexpr int each = std::min(4, piece_size<float, Source, From>());
  bool aligned = cursor_starts_whole(source, each) && cursor_starts_whole(from, each);
  gradients.each([&](auto& leaf) { aligned = aligned && leaf.starts_whole(each); });
  const auto nest = loop_nest<Inner>(node.shape());
  const char* name = Node::function_type::name;
  if constexpr (Gradients::summed == 0) {
    const RowPieces pieces{nest.inner, each, aligned};
    const Index count = nest.rows * pieces.per_row;
    if (count > 0)
      cuda::launch(name, &pull_back_kernel<each, static_cast<std::size_t>(Out::rank - Inner), Visitor>,
                   cuda::striding_grid(count, cuda::Context::instance().multiprocessors()), nest, pieces,
                   Visitor{source, from, targets});
  } else {
    int number = 0;
    gradients.each([&]<class Leaf>(Leaf& leaf) {
      if constexpr (Leaf::sums) {
        if (number++ != Pass || !(leaf.wanted() || Pass == 0)) return;
        constexpr bool repeats = inner_walk<typename Leaf::shape_type, Out, Inner, true> == InnerWalk::repeat;
        reduce_visited<each, repeats, SumOf, compute_type<typename Leaf::element>>(
            name, nest, Visitor{source, from, targets}, aligned, leaf.steps(), leaf.size(), leaf.write());
      }
    });
    if constexpr (Pass + 1 < Gradients::summed) pull_back_pass<Pass + 1, Inner>(node, gradient, gradients);
  }
}

/// Adds to the gradients of an expression's leaves, given the gradient of its value (any expression that
/// broadcasts to its shape).
template <class Node, class Gradient>
void pull_back(Cuda, const Node& node, const Gradient& gradient) {
  using Out = typename Node::shape_type;
  constexpr int inner = inner_axes<Out, Node, Gradient>();
  CudaGradients<Node, Out, inner> gradients{node, *find_tape(node)};
  bool any = false;
  gradients.each([&](auto& leaf) { any = any || leaf.wanted(); });
  if (!any) return;
  pull_back_pass<0, inner>(node, gradient, gradients);
  gradients.each([](auto& leaf) { leaf.finish(); });
}

template <class T>
struct SeedGradient {
  T* target;
  const T* seed;
  bool accumulate;
  constexpr void operator()(Index i) const {
    const T value = seed == nullptr ? T(1) : seed[i];
    target[i] = accumulate ? static_cast<T>(target[i] + value) : value;
  }
};
template <class T>
void seed_gradient(Cuda, T* target, bool accumulate, const T* seed, Index count) {
  for_each_index("seed", count, SeedGradient<T>{target, seed, accumulate});
}

template <class G, class T>
struct AddConverted {
  G* sums;
  const T* values;
  constexpr void operator()(Index i) const { sums[i] += static_cast<G>(values[i]); }
};
template <class G, class T>
void add_converted(Cuda, G* sums, const T* values, Index count) {
  for_each_index("parameter", count, AddConverted<G, T>{sums, values});
}

}  // namespace burrow::detail
