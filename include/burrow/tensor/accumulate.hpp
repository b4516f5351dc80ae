// Fixed-order accumulation of packets into a smaller array: what reductions and the gradients of broadcast
// operands share. The work is cut into chunks by size alone, each chunk sums into its own partial array, and
// the partial arrays are combined in order: the result does not depend on the number of threads.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include <burrow/tensor/evaluate.hpp>

namespace burrow::detail {

struct SumOf {
  static constexpr const char* name = "sum";
  static constexpr bool rounds = true;
  template <class T>
  static constexpr T identity = T(0);
  static constexpr auto combine(auto a, auto b) { return a + b; }
  static constexpr auto lanes(auto p) { return reduce_add(p); }
};
struct ProductOf {
  static constexpr const char* name = "prod";
  static constexpr bool rounds = false;
  template <class T>
  static constexpr T identity = T(1);
  template <class T>
  static constexpr T combine(T a, T b) {
    return static_cast<T>(a * b);
  }
  template <class C, int N>
  static C lanes(Packet<C, N> p) {
    alignas(64) C lane[N];
    p.store(lane);
    C product = lane[0];
    for (int i = 1; i < N; ++i) product = combine(product, lane[i]);
    return product;
  }
};

/// What the largest and the smallest share. NaN wins, as it does in NumPy.
template <class Self>
struct ExtremeOf {
  static constexpr bool rounds = false;
  template <class T>
  static constexpr T combine(T a, T b) {
    if constexpr (Real<T>)
      return Self::beyond(b, a) || b != b ? b : a;
    else if constexpr (std::is_arithmetic_v<T>)
      return Self::beyond(b, a) ? b : a;
    else if constexpr (Real<typename T::value_type>)
      return select(Self::beyond(b, a) || b != b, b, a);
    else
      return select(Self::beyond(b, a), b, a);
  }
  template <class C, int N>
  static C lanes(Packet<C, N> p) {
    if constexpr (N == 1) {
      return p.v;
    } else {
      const C nan = reduce_add(select(p != p, p, Packet<C, N>(C(0))));
      return std::isnan(nan) ? nan : Self::extreme_lane(p);
    }
  }
};
struct MaximumOf : ExtremeOf<MaximumOf> {
  static constexpr const char* name = "max";
  template <class T>
  static constexpr T identity = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                                     : std::numeric_limits<T>::lowest();
  static constexpr auto beyond(auto a, auto b) { return a > b; }
  static auto extreme_lane(auto p) { return reduce_max(p); }
};
struct MinimumOf : ExtremeOf<MinimumOf> {
  static constexpr const char* name = "min";
  template <class T>
  static constexpr T identity = std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity()
                                                                     : std::numeric_limits<T>::max();
  static constexpr auto beyond(auto a, auto b) { return a < b; }
  static auto extreme_lane(auto p) { return reduce_min(p); }
};

/// The type in which partial results of type C are combined.
template <class C>
using wide_type = std::conditional_t<std::is_integral_v<C>, C, promoted<C, double>>;

/// Where one chunk's results go. A sum of many terms is moved to an array of wider sums now and then, which
/// is made when it is first needed.
template <class Op, class C>
struct Partial {
  using wide = wide_type<C>;
  C* array;
  Index size;
  Buffer<Cpu>* totals;

  void move_to_totals() const {
    const bool first = !*totals;
    if (first) *totals = Buffer<Cpu>{size * Index{sizeof(wide)}, MemoryUse::scratch};
    auto* const total = static_cast<wide*>(totals->data());
    for (Index j = 0; j < size; ++j) {
      total[j] = first ? static_cast<wide>(array[j]) : Op::combine(total[j], static_cast<wide>(array[j]));
      array[j] = Op::template identity<C>;
    }
  }
};

inline constexpr std::size_t most_chunks = 16;

/// Number of chunks for `total` elements accumulated into arrays of `target` elements.
inline Index chunk_count(Index total, Index target) {
  if (total < 2 * elementwise_grain) return 1;
  return std::clamp<Index>(std::min(total / elementwise_grain, total / std::max<Index>(target, 1)), 1,
                           Index{most_chunks});
}

/// Adds packets of a nest into a smaller array of type C, or drops them where there is none. Repeats says
/// that the array stays at one element along the inner loop.
template <class Op, class C, int N, std::size_t OuterRank, bool Repeats>
class Sink {
 public:
  /// Whether sums are kept in a register for a block of packets.
  static constexpr bool in_blocks() { return Repeats; }

  /// `terms_of_row` is the number of elements of the array that one row meets.
  Sink(const Partial<Op, C>& target, const Steps<OuterRank>& steps, Index terms_of_row)
      : target_{target},
        steps_{steps},
        rows_between_moves_{std::max<Index>(1, terms * target.size / terms_of_row)},
        rows_left_{rows_between_moves_} {}

  /// The same for another array of the same size.
  Sink aimed(const Partial<Op, C>& target) const {
    Sink result = *this;
    result.target_ = target;
    return result;
  }

  void start_row(const std::array<Index, OuterRank>& coordinates) {
    if constexpr (moves) {
      if (target_.array != nullptr && rows_left_-- == 0) {
        target_.move_to_totals();
        rows_left_ = rows_between_moves_ - 1;
      }
    }
    row_ = target_.array + steps_.row_offset(coordinates);
    if constexpr (Repeats) sums_.row = Op::template identity<wide>;
  }

  /// Adds the packet at element i of the row; `count` of its elements exist where not full.
  [[gnu::always_inline]] void add(Packet<C, N> value, Index i, Index count, bool full) {
    using P = Packet<C, N>;
    if constexpr (Repeats) {
      if (!full) {
        alignas(64) C lane[N];
        std::fill_n(lane, N, Op::template identity<C>);
        value.store(lane, count);
        value = P::load(lane);
      }
      sums_.block = Op::combine(sums_.block, value);
    } else if (target_.array != nullptr) {
      const P old = full ? P::load(row_ + i) : P::load(row_ + i, count);
      store_packet(row_ + i, Op::combine(old, value), count, full);
    }
  }

  void start_block() {
    if constexpr (Repeats) sums_.block = Op::template identity<C>;
  }
  void end_block() {
    if constexpr (Repeats) sums_.row = Op::combine(sums_.row, static_cast<wide>(Op::lanes(sums_.block)));
  }
  void end_row() {
    if constexpr (Repeats)
      if (target_.array != nullptr) *row_ = Op::combine(*row_, static_cast<C>(sums_.row));
  }

 private:
  using wide = wide_type<C>;
  static constexpr bool moves = Op::rounds && !std::is_integral_v<C>;
  static constexpr Index terms = 128;  // that an element of the array sums, about, before it is moved

  /// Of a block of packets, and of the row.
  struct Sums {
    Packet<C, N> block{Op::template identity<C>};
    wide row = Op::template identity<wide>;
  };
  struct Nothing {};

  Partial<Op, C> target_;
  C* row_ = nullptr;
  Steps<OuterRank> steps_;
  Index rows_between_moves_, rows_left_;
  [[no_unique_address]] std::conditional_t<Repeats, Sums, Nothing> sums_{};
};

/// A sink for an array of shape S, dense, in a nest over Out whose last Inner axes are collapsed.
template <class Out, int Inner, int N, class Op, class C, class S>
auto sink_for(const S& shape, const Partial<Op, C>& target) {
  constexpr bool repeats = inner_walk<S, Out, Inner, true> == InnerWalk::repeat;
  Index terms_of_row = 1;
  if constexpr (!repeats)
    for (int axis = std::max(0, S::rank - Inner); axis < S::rank; ++axis) terms_of_row *= shape[axis];
  return Sink<Op, C, N, static_cast<std::size_t>(Out::rank - Inner), repeats>{
      target, steps_of<S, Out, Inner>(row_major_strides(shape.values())), std::max<Index>(terms_of_row, 1)};
}

/// Runs over a run of a row, where InBlocks in blocks short enough for one register of partial sums.
template <int N, bool InBlocks, class Start, class Body, class End>
[[gnu::always_inline]] inline void for_blocks(Index begin, Index end, const Start& start, const Body& body,
                                              const End& finish) {
  if constexpr (!InBlocks) return for_packets<N>(begin, end, body);
  constexpr Index block = 4096;
  for (Index b = begin; b < end; b += block) {
    start();
    for_packets<N>(b, std::min(end, b + block), body);
    finish();
  }
}

/// Where piece c of `pieces` equal ones of a run begins, which is where the one before it ends.
constexpr Index piece_begin(Index length, Index c, Index pieces) {
  return c == 0 ? 0 : c == pieces ? length : length * c / pieces;
}

/// chunk(c, first row, last row, begin, end) for each of `chunks` fixed pieces of a nest, in parallel.
template <int N, class Nest, class Chunk>
void for_chunks(const Nest& nest, Index chunks, const Chunk& chunk) {
  parallel_tasks(chunks, [&](Index c) {
    if (nest.rows == 1) {
      const Index packets = (nest.inner + N - 1) / N;
      chunk(c, Index{0}, Index{1}, piece_begin(packets, c, chunks) * N,
            std::min(piece_begin(packets, c + 1, chunks) * N, nest.inner));
    } else {
      chunk(c, piece_begin(nest.rows, c, chunks), piece_begin(nest.rows, c + 1, chunks), Index{0},
            nest.inner);
    }
  });
}

/// Arrays of `size` elements that are combined in order.
template <class Op, class C>
class Partials {
  using wide = wide_type<C>;

 public:
  /// No arrays.
  Partials() = default;
  Partials(Index chunks, Index size)
      : chunks_{chunks},
        size_{size},
        storage_{chunks * size * Index{sizeof(C)}, MemoryUse::scratch},
        arrays_{static_cast<C*>(storage_.data())},
        totals_(static_cast<std::size_t>(chunks > 1 ? chunks : 0)) {}
  /// For a single chunk, in memory that takes the result.
  Partials(C* array, Index size) : chunks_{1}, size_{size}, arrays_{array} {}

  Index chunks() const { return chunks_; }

  /// The array of one chunk, filled with the identity; called by the chunk's own thread.
  C* start(Index chunk) {
    C* const array = arrays_ + chunk * size_;
    std::fill_n(array, size_, Op::template identity<C>);
    return array;
  }

  /// The same for a `Sink`.
  Partial<Op, C> partial(Index chunk) {
    return {start(chunk), size_, totals_.empty() ? &only_totals_ : &totals_[static_cast<std::size_t>(chunk)]};
  }

  /// True where the only array has all of the result.
  bool settled() const { return chunks_ == 1 && !only_totals_; }

  /// write(j, combined value) for every element, in parallel.
  template <class Write>
  void combine(const Write& write) const {
    parallel_for(size_, elementwise_grain / chunks_, [&](Index begin, Index end) {
      for (Index b = begin; b < end; b += block) {
        wide totals[block];
        const Index count = std::min(block, end - b);
        combined(b, count, totals);
        for (Index k = 0; k < count; ++k) write(b + k, static_cast<C>(totals[k]));
      }
    });
  }

 private:
  static constexpr Index block = 128;

  /// The values of `count` elements from `begin` on, combined in the order of the chunks.
  [[gnu::noinline]] void combined(Index begin, Index count, wide* totals) const {
    std::fill_n(totals, count, Op::template identity<wide>);
    for (Index c = 0; c < chunks_; ++c) {
      if (const auto& moved = totals_.empty() ? only_totals_ : totals_[static_cast<std::size_t>(c)]) {
        const wide* const from = static_cast<const wide*>(moved.data()) + begin;
        for (Index k = 0; k < count; ++k) totals[k] = Op::combine(totals[k], from[k]);
      }
      const C* const from = arrays_ + c * size_ + begin;
      for (Index k = 0; k < count; ++k) totals[k] = Op::combine(totals[k], static_cast<wide>(from[k]));
    }
  }

  Index chunks_ = 0, size_ = 0;
  Buffer<Cpu> storage_;
  C* arrays_ = nullptr;
  Buffer<Cpu> only_totals_;  // of the only chunk
  std::vector<Buffer<Cpu>, PoolAllocator<Buffer<Cpu>>> totals_;
};

/// A leaf of shape S with no elements behind it: it only takes part in choosing the loop nest.
template <class S>
struct ShapeLeaf {
  using element = bool;
  using shape_type = S;
  static constexpr bool is_leaf = true;
  static constexpr bool contiguous = true;
};

/// The loop of `reduce`; `sink` adds to nothing, and is aimed at the part of each chunk.
template <class Loop, class Op, class C, class Nest, class Source, class SinkType>
void reduce_loop(const Nest& nest, const Source& source, const SinkType& sink, Partials<Op, C>& partials) {
  constexpr int n = Loop::lanes_used;
  for_chunks<n>(nest, partials.chunks(), [&](Index c, Index first, Index last, Index begin, Index end) {
    auto cursor = source;
    auto to = sink.aimed(partials.partial(c));
    for (Index r = first; r < last; ++r) {
      const auto coordinates = nest.coordinates(r);
      cursor.seek(coordinates);
      to.start_row(coordinates);
      for_blocks<n, SinkType::in_blocks()>(
          begin, end, [&] { to.start_block(); },
          [&]<bool Full>(Index i, Index count) {
            to.add(cursor.template at<typename Loop::base, n, Full>(i, count), i, count, Full);
          },
          [&] { to.end_block(); });
      to.end_row();
    }
  });
}

/// Reduces an expression over the axes along which shape Keep (which broadcasts to its shape) repeats, and
/// writes finish(result) to `out`.
template <class Op, class T, class Keep, class Node, class Finish>
void reduce(Cpu, const Node& node, const Keep& keep, T* out, const Finish& finish) {
  using Out = typename Node::shape_type;
  using Loop = LoopOf<Node>;
  using C = compute_type<typename Node::element>;
  constexpr int inner = inner_axes<Out, Node, ShapeLeaf<Keep>>();
  Partials<Op, C> partials{chunk_count(node.shape().size(), keep.size()), keep.size()};
  const auto sink =
      sink_for<Out, inner, Loop::lanes_used>(keep, Partial<Op, C>{nullptr, keep.size(), nullptr});
  reduce_loop<Loop>(loop_nest<inner>(node.shape()), lowered<Out, inner>(node), sink, partials);
  partials.combine([&](Index j, C value) { out[j] = static_cast<T>(finish(value)); });
}

}  // namespace burrow::detail
