// Weights of operations: matrices and vectors that are read as they lie in memory, whatever their type, and
// whose gradients are summed in the type they are computed in.
#pragma once

#include <burrow/ops/rows.hpp>

namespace burrow::detail {

/// A leaf, and where its gradient of type G goes. That of a narrow parameter is kept in fp32, and is given in
/// fp32: nothing is rounded in between.
template <class G, class V>
struct Weight {
  using gradient = G;
  V view;
  Tape* tape = nullptr;
  int slot = -1;
  Index offset = 0;

  bool wanted() const { return tape != nullptr && tape->wanted(slot); }
  auto gradient_target() const {
    const auto strides = view.strides();
    GradientTarget<G, std::tuple_size_v<std::remove_cvref_t<decltype(strides)>>> target{};
    if (!wanted()) return target;
    const bool once = V::contiguous || !repeats_elements(view.shape().values(), strides);
    const auto [data, accumulate] =
        tape->template gradient_data<G>(slot, offset, once ? view.shape().size() : Index{0});
    target.data = data;
    target.strides = strides;
    target.accumulate = accumulate;
    return target;
  }
};

/// An operand of an operation as a weight. Elementwise expressions are evaluated.
template <class TapeLike, Expression E>
auto weight_operand(TapeLike tape, const E& e) {
  using Node = node_of<E>;
  using T = element_of<E>;
  if constexpr (TapeLike::tracing && is_parametric<Node>) {
    const auto node = to_node(e);
    const auto [slot, offset] = node.slot_on(*tape.tape);
    return Weight<compute_type<T>, std::remove_cvref_t<decltype(node.view())>>{node.view(), tape.tape, slot,
                                                                               offset};
  } else {
    const auto leaf = operand(tape, e);
    using V = std::remove_cvref_t<decltype(leaf.view())>;
    if constexpr (Traced<decltype(leaf)>)
      return Weight<T, V>{leaf.view(), &leaf.tape(), leaf.slot(), leaf.offset()};
    else
      return Weight<T, V>{leaf.view()};
  }
}

/// An operand as a weight without gaps in memory; strided views are copied.
template <class TapeLike, Expression E>
auto dense_weight_operand(TapeLike tape, const E& e) {
  if constexpr (requires { requires node_of<E>::contiguous; })
    return weight_operand(tape, e);
  else
    return weight_operand(tape, dense_operand(tape, e));
}

/// The target of a weight without gaps.
template <class W>
DenseTarget<typename W::gradient> dense_target_of(const W& weight) {
  const auto target = weight.gradient_target();
  return {target.data, target.accumulate};
}

/// `record` of an operation whose only differentiated operand is a weight.
template <class TapeLike, class Y, class Backward, class W>
auto record_weighted(TapeLike tape, const char* name, const Y& y, Backward&& backward, const W& weight) {
  if constexpr (TapeLike::tracing)
    return record_wanted(tape, name, y, std::forward<Backward>(backward), weight.wanted());
  else
    return record(tape, name, y, std::forward<Backward>(backward));
}

/// How the elements of a matrix or a vector follow each other in memory.
enum class Order { by_row, by_column, with_gaps };

template <class V>
Order order_of(const V& view) {
  if constexpr (V::contiguous) {
    return Order::by_row;
  } else {
    const auto& extents = view.shape().values();
    const auto strides = view.strides();
    const auto follow = [&](std::size_t first, std::size_t second) {
      return (extents[first] == 1 || strides[first] == 1) &&
             (extents[second] == 1 || first == second || strides[second] == extents[first]);
    };
    const std::size_t last = extents.size() - 1;
    if (follow(last, 0)) return Order::by_row;
    return follow(0, last) ? Order::by_column : Order::with_gaps;
  }
}

/// to = `count` elements at `from`, converted.
template <class T, class G>
void convert_elements(Cpu, const G* from, Index count, T* to) {
  using C = promoted<compute_type<T>, compute_type<G>>;
  parallel_for(count, elementwise_grain, [&](Index begin, Index end) {
    for_packets<lanes<C>>(begin, end, [&]<bool Full>(Index i, Index n) {
      store_packet(to + i, load_packet<C, Full>(from + i, n), n, Full);
    });
  });
}

/// The elements of a weight as type T, in the order of memory, or by row where that has gaps: where they lie,
/// or in `room`.
template <class T, class V>
const T* weight_elements(const V& view, Storage& room) {
  using G = typename V::element;
  if constexpr (!V::contiguous)
    if (order_of(view) == Order::with_gaps) {
      const auto dense = materialize(cast<T>(view)).leaf();
      room = dense.storage();
      return dense.data();
    }
  if constexpr (std::same_as<T, G>) {
    return view.data();
  } else {
    const Index count = view.shape().size();
    const Buffer<device_of<V>> buffer{count * Index{sizeof(T)}};
    T* const to = static_cast<T*>(buffer.data());
    convert_elements(device_of<V>{}, view.data(), count, to);
    room = buffer;
    return to;
  }
}

/// target (+)= *scale * values for `count` elements.
template <class G, class C>
void add_scaled(Cpu, const C* values, Index count, const C* scale, DenseTarget<G> target) {
  const Packet<C> factor(*scale);
  parallel_for(count, elementwise_grain, [&](Index begin, Index end) {
    for_packets<lanes<C>>(begin, end, [&]<bool Full>(Index i, Index n) {
      target.template put<Full>(i, load_packet<C, Full>(values + i, n) * factor, n);
    });
  });
}

/// Adds *scale * values, in the order of `weight_elements`, to the gradient of a weight.
template <class W, class C>
void add_scaled_gradient(const W& weight, const C* values, const C* scale) {
  using G = typename W::gradient;
  using D = device_of<decltype(weight.view)>;
  const auto target = weight.gradient_target();
  if (!target) return;
  const Index count = weight.view.shape().size();
  if (order_of(weight.view) != Order::with_gaps)
    return add_scaled(D{}, values, count, scale, DenseTarget<G>{target.data, target.accumulate});
  const Buffer<D> scaled{count * Index{sizeof(C)}};
  C* const dense = static_cast<C*>(scaled.data());
  add_scaled(D{}, values, count, scale, DenseTarget<C>{dense, false});
  add_strided(D{}, weight.view.shape(), target, static_cast<const C*>(dense));
}

}  // namespace burrow::detail
