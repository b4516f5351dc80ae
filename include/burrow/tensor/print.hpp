// Printing: std::cout << x writes any tensor, view, parameter, traced value or untraced expression as nested
// brackets with aligned columns.
#pragma once

#include <algorithm>
#include <cstdio>
#include <ostream>
#include <string>

#include <burrow/tensor/tensor.hpp>

namespace burrow {

namespace detail {

/// Tensors of more elements are shown by the first and last `edge_items` along each axis.
inline constexpr Index whole_print_limit = 1000;
inline constexpr Index edge_items = 3;

template <class T>
std::string element_text(T value) {
  if constexpr (std::same_as<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    return std::to_string(value);
  } else if constexpr (is_dual<T>) {
    return "(" + element_text(value.value) + ", " + element_text(value.tangent) + ")";
  } else {
    char text[32];
    std::snprintf(text, sizeof(text), "%.6g", static_cast<double>(value));
    return text;
  }
}

/// Writes the elements of one tensor.
template <class T, class S>
class Printer {
 public:
  explicit Printer(const Tensor<T, S>& tensor)
      : data_{tensor.data()}, extents_{tensor.shape().values()}, elided_{tensor.size() > whole_print_limit} {
    if constexpr (S::rank > 0) measure(0, 0);
  }

  void print(std::ostream& out) const {
    if constexpr (S::rank == 0)
      out << element_text(*data_);
    else
      print(out, 0, 0);
  }

 private:
  static constexpr std::size_t last_axis = S::extents.size() - 1;

  /// visit(i) for each index of an axis that is shown; gap() once where others are left out.
  template <class Visit, class Gap>
  void for_shown(std::size_t axis, const Visit& visit, const Gap& gap) const {
    const Index extent = extents_[axis];
    for (Index i = 0; i < extent; ++i) {
      if (elided_ && i == edge_items && extent > 2 * edge_items) {
        gap();
        i = extent - edge_items;
      }
      visit(i);
    }
  }

  void measure(std::size_t axis, Index offset) {
    for_shown(
        axis,
        [&](Index i) {
          const Index element = offset * extents_[axis] + i;
          if (axis == last_axis)
            width_ = std::max(width_, element_text(data_[element]).size());
          else
            measure(axis + 1, element);
        },
        [] {});
  }

  void print(std::ostream& out, std::size_t axis, Index offset) const {
    const bool innermost = axis == last_axis;
    const std::string between =
        innermost ? ", " : "," + std::string(last_axis - axis, '\n') + std::string(axis + 1, ' ');
    bool first = true;
    const auto separate = [&] {
      if (!first) out << between;
      first = false;
    };
    out << '[';
    for_shown(
        axis,
        [&](Index i) {
          separate();
          const Index element = offset * extents_[axis] + i;
          if (!innermost) return print(out, axis + 1, element);
          const std::string text = element_text(data_[element]);
          out << std::string(width_ - text.size(), ' ') << text;
        },
        [&] {
          separate();
          out << "...";
        });
    out << ']';
  }

  const T* data_;
  std::array<Index, S::extents.size()> extents_;
  bool elided_;
  std::size_t width_ = 0;
};

}  // namespace detail

/// Writes the elements in nested brackets, numbers with six significant digits; of more than 1000 elements
/// only the first and last three along each axis. An expression is evaluated, a traced value prints its
/// value, and what lies on another device is copied to the host.
template <Expression E>
requires(!Traced<E> || detail::node_of<E>::is_leaf) std::ostream& operator<<(std::ostream& out, const E& e) {
  const auto node = detail::to_node(e);
  if constexpr (decltype(node)::is_leaf) {
    const auto values = to<Cpu>(node.view());
    detail::Printer{values}.print(out);
  } else {
    const auto values = to<Cpu>(e);
    detail::Printer{values}.print(out);
  }
  return out;
}

namespace operation {
struct print;
}
template <Traced E>
requires(!detail::node_of<E>::is_leaf) auto operator<<(std::ostream&, const E&)
    -> misuse::gradient_would_be_lost<operation::print, E>;

}  // namespace burrow
