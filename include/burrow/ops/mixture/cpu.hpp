// Routing of tokens to experts on the CPU.
#pragma once

#include <vector>

#include <burrow/ops/rows.hpp>

namespace burrow::detail {

template <class T>
using Pooled = std::vector<T, PoolAllocator<T>>;

/// Writes the numbers of all tokens, one expert's after another's, each in their order, and on the host how
/// many chose each expert.
inline void sort_by_choice(Cpu, const std::int64_t* choices, Index count, std::int32_t* tokens,
                           Pooled<Index>& chosen) {
  std::ranges::fill(chosen, 0);
  for (Index t = 0; t < count; ++t) ++chosen[static_cast<std::size_t>(choices[t])];
  Pooled<Index> next(chosen.size());
  for (std::size_t e = 1; e < next.size(); ++e) next[e] = next[e - 1] + chosen[e - 1];
  for (Index t = 0; t < count; ++t)
    tokens[next[static_cast<std::size_t>(choices[t])]++] = static_cast<std::int32_t>(t);
}

/// What one expert computed: row i belongs to token tokens[i], whose share of it is shares[tokens[i] *
/// experts].
template <class C>
struct ExpertPart {
  Rows rows;
  const std::int32_t* tokens;
  const C* shares;
  Index experts;
};

/// y[token, :] = share row
template <class T, class C>
void combine_expert(Cpu, const ExpertPart<C>& part, const T* rows, T* y) {
  const Index width = part.rows.width;
  for_each_row(part.rows, [&](Index i) {
    const Index token = part.tokens[i];
    const C share = part.shares[token * part.experts];
    for (Index k = 0; k < width; ++k)
      y[token * width + k] = static_cast<T>(share * static_cast<C>(rows[i * width + k]));
  });
}

/// drows = share dy[token], dshares[token * experts] = dy[token] . row
template <class T, class C>
void combine_expert_backward(Cpu, const ExpertPart<C>& part, const T* rows, const T* dy, T* drows,
                             C* dshares) {
  const Index width = part.rows.width;
  for_each_row(part.rows, [&](Index i) {
    const Index token = part.tokens[i];
    const C share = part.shares[token * part.experts];
    C dot = 0;
    for (Index k = 0; k < width; ++k) {
      const C upstream = static_cast<C>(dy[token * width + k]);
      drows[i * width + k] = static_cast<T>(share * upstream);
      dot += upstream * static_cast<C>(rows[i * width + k]);
    }
    dshares[token * part.experts] = dot;
  });
}

}  // namespace burrow::detail
