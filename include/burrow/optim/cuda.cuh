// Optimizers and clipping on a CUDA device: one pass of the CPU's rules over parameters, gradient and what is
// remembered. bf16 parameters are rounded with the same random bits.
#pragma once

#include <limits>
#include <type_traits>

#include <burrow/core/captured_step.cuh>
#include <burrow/optim/clip.hpp>
#include <burrow/optim/elementwise_slice.hpp>
#include <burrow/tensor/cuda.cuh>
#include <burrow/tensor/reduce.hpp>

namespace burrow::detail {

/// What differs from step to step.
template <class C, class Numbers>
struct StepNumbers {
  Numbers numbers;
  C factor;  ///< of the gradient
  Key key;   ///< of stochastic rounding
};

/// One range of parameters that are updated alike.
template <class P, class G, class Numbers, std::size_t Count>
struct RangeUpdate {
  using C = compute_type<P>;

  P* parameters;
  const G* gradient;
  C* copy;  ///< in place of narrow parameters; null where there is none
  std::array<C*, Count> remembered;
  Given<StepNumbers<C, Numbers>> step;
  const double* factor;  ///< of the gradient where it lies on the device, else null
  std::uint64_t first_index;
  bool stochastic;
  bool aligned;  ///< a piece may be read and written at once
};

/// Elements to a thread; sixteen random bits of eight neighbours come from one draw.
template <class P>
inline constexpr int update_each = sizeof(P) == 2   ? 8
                                   : sizeof(P) == 4 ? 4
                                                    : 2;

/// Updates elements [begin, end), in pieces that begin on multiples of their size.
template <int Each, class P, class G, class Numbers, std::size_t Count>
__global__ void update_kernel(RangeUpdate<P, G, Numbers, Count> update, Index begin, Index end) {
  using C = compute_type<P>;
  using V = Packet<C, 1>;
  // Two copies: for a choice of addresses nvcc would lay out all arguments in local memory.
  StepNumbers<C, Numbers> now = update.step.value;
  if (update.step.changing != nullptr) now = *update.step.changing;
  const C factor = update.factor == nullptr ? now.factor : static_cast<C>(*update.factor);
  if (update.factor != nullptr && factor != factor) return;  // the gradient is not finite
  const Index step = Index{gridDim.x} * blockDim.x, last = (end + Each - 1) / Each;
  for (Index number = begin / Each + Index{blockIdx.x} * blockDim.x + threadIdx.x; number < last;
       number += step) {
    const Index i = number * Each;
    const bool whole = update.aligned && i >= begin && i + Each <= end;
    const auto read = [&](const auto* from, C(&to)[Each]) {
      if (whole) {
        cuda::load_elements<Each>(from + i, to);
      } else {
        for (int k = 0; k < Each; ++k)
          to[k] = i + k >= begin && i + k < end ? static_cast<C>(from[i + k]) : C(0);
      }
    };
    const auto write = [&](auto* to, const auto(&values)[Each]) {
      if (whole) {
        cuda::store_elements<Each>(to + i, values);
      } else {
        for (int k = 0; k < Each; ++k)
          if (i + k >= begin && i + k < end)
            to[i + k] = static_cast<std::remove_cvref_t<decltype(*to)>>(values[k]);
      }
    };
    C p[Each], g[Each], values[Count == 0 ? 1 : Count][Each];
    if (std::is_same_v<P, C> || update.copy == nullptr)
      read(update.parameters, p);
    else
      read(update.copy, p);
    read(update.gradient, g);
#pragma unroll
    for (std::size_t r = 0; r < Count; ++r) read(update.remembered[r], values[r]);
#pragma unroll
    for (int k = 0; k < Each; ++k) {
      [&]<std::size_t... R>(std::index_sequence<R...>) {
        V each[Count == 0 ? 1 : Count] = {V(values[R][k])...};
        p[k] = now.numbers(V(p[k]), V(g[k]) * V(factor), each[R]...).v;
        ((values[R][k] = each[R].v), ...);
      }
      (std::make_index_sequence<Count>{});
    }
#pragma unroll
    for (std::size_t r = 0; r < Count; ++r) write(update.remembered[r], values[r]);
    if constexpr (std::is_same_v<P, bf16>) {
      if (update.stochastic) {
        P rounded[Each];
        std::array<std::uint32_t, 4> words{};
#pragma unroll
        for (int k = 0; k < Each; ++k) {
          const std::uint64_t index = update.first_index + static_cast<std::uint64_t>(i + k);
          if (k == 0 || index % 8 == 0) words = now.key.words(index / 8);
          const std::uint32_t word = words[index % 8 / 2];
          rounded[k] =
              round_stochastically(p[k], static_cast<std::uint16_t>(index % 2 == 0 ? word : word >> 16));
        }
        write(update.parameters, rounded);
        continue;
      }
    }
    write(update.parameters, p);
    if constexpr (!std::is_same_v<P, C>)
      if (update.copy != nullptr) write(update.copy, p);
  }
}

template <class C, class P>
struct ConvertEach {
  C* to;
  const P* from;
  constexpr void operator()(Index i) const { to[i] = static_cast<C>(from[i]); }
};

/// The same optimizer where parameters, gradient and what is remembered lie on the device.
template <Real P, class Rule>
class ElementwiseSlice<P, Rule, Cuda> {
  static constexpr std::size_t most = Rule::names.size() - 1;
  static constexpr int each = update_each<P>;

 public:
  using Compute = compute_type<P>;
  using Options = typename Rule::options;

  /// Throws ValueError for options out of range. `layout` is that of the whole buffer.
  ElementwiseSlice(std::span<const P> parameters, Index first_index, const Options& options,
                   const ParameterLayout& layout = {}, Location where = Location::here())
      : options_{options},
        count_{static_cast<Index>(parameters.size())},
        first_index_{first_index},
        ranges_{update_ranges(layout, first_index, count_, where)} {
    require_option(options.learning_rate >= 0, Rule::negative_rate, where);
    Rule::check(options, where);
    check_bf16_update<P>(options.bf16_update, where);
    const Index bytes = count_ * Index{sizeof(Compute)};
    if (count_ == 0) return;
    for (std::size_t i = 0; i < Rule::remembers(options); ++i) {
      remembered_[i] = Buffer<Cuda>{bytes};
      fill_zero(Cuda{}, remembered_[i].data(), bytes);
    }
    if (Narrow<P> && options.bf16_update == Bf16Update::fp32_copy) {
      copy_ = Buffer<Cuda>{bytes};
      for_each_index("optimizer", count_,
                     ConvertEach<Compute, P>{values_of(copy_).data(), parameters.data()});
    }
  }

  /// One update of the slice, in place. Throws ShapeError when the sizes are not those built for.
  template <Real G>
  void step(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now = {},
            Location where = Location::here()) {
    using V = Packet<Compute, 1>;
    check_update_size(parameters.size(), "parameters", count_, where);
    check_update_size(gradient.size(), "gradient values", count_, where);
    if constexpr (std::invocable<const typename Rule::template Numbers<V>&, V, V>) {
      if (Rule::remembers(options_) == 0)
        update_all<0>(parameters, gradient, now);
      else
        update_all<most>(parameters, gradient, now);
    } else {
      update_all<most>(parameters, gradient, now);
    }
    each_step(Cuda{}, [this] { ++steps_; });
  }

  /// What is remembered, by the rule's names, and where it is kept the fp32 copy, on the device.
  OptimizerState<Compute> state() {
    OptimizerState<Compute> state{steps_, {}};
    for (std::size_t i = 0; i < Rule::remembers(options_); ++i)
      state.values.push_back({Rule::names[i], values_of(remembered_[i])});
    if (copy_) state.values.push_back({Rule::names[most], values_of(copy_)});
    return state;
  }

  const Options& options() const { return options_; }

 private:
  std::span<Compute> values_of(const Buffer<Cuda>& buffer) const {
    return {static_cast<Compute*>(buffer.data()), static_cast<std::size_t>(count_)};
  }

  template <class T>
  static bool starts_piece(const T* data) {
    return reinterpret_cast<std::uintptr_t>(data) % (sizeof(T) * each) == 0;
  }

  /// Runs of neighbouring ranges whose numbers are the same, in one kernel each.
  template <std::size_t Count, class G>
  void update_all(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now) {
    const auto takes_part = [&](const UpdateRange& r) {
      return !r.frozen && ParameterStore::contains(now.only, first_index_ + r.begin);
    };
    for (std::size_t i = 0; i < ranges_.size();) {
      const UpdateRange& range = ranges_[i];
      std::size_t next = i + 1;
      if (takes_part(range)) {
        while (next < ranges_.size() && takes_part(ranges_[next]) &&
               ranges_[next].begin == ranges_[next - 1].end &&
               ranges_[next].learning_rate_factor == range.learning_rate_factor &&
               ranges_[next].weight_decay == range.weight_decay)
          ++next;
        update_range<Count>(parameters, gradient, now, range, ranges_[next - 1].end);
      }
      i = next;
    }
  }

  template <std::size_t Count, class G>
  void update_range(std::span<P> parameters, std::span<const G> gradient, const UpdateOptions& now,
                    const UpdateRange& range, Index end) {
    using Numbers = typename Rule::template Numbers<Packet<Compute, 1>>;
    if (end <= range.begin) return;
    const StepNumber rate = now.learning_rate.value_or(options_.learning_rate);
    const double factor = now.gradient_factor.on_device() == nullptr ? double{now.gradient_factor} : 1.0;
    const auto numbers = [this, rate, factor, range] {
      return StepNumbers<Compute, Numbers>{Numbers{options_, static_cast<double>(steps_ + 1),
                                                   range.rate(rate), range.decay(options_.weight_decay)},
                                           static_cast<Compute>(factor),
                                           options_.key.fold_in(static_cast<std::uint64_t>(steps_))};
    };
    RangeUpdate<P, G, Numbers, Count> update{
        parameters.data(),
        gradient.data(),
        static_cast<Compute*>(copy_.data()),
        {},
        given(Cuda{}, numbers),
        now.gradient_factor.on_device(),
        static_cast<std::uint64_t>(first_index_),
        options_.bf16_update == Bf16Update::stochastic,
        starts_piece(parameters.data()) && starts_piece(gradient.data())};
    for (std::size_t r = 0; r < Count; ++r) update.remembered[r] = values_of(remembered_[r]).data();
    cuda::launch("optimizer", &update_kernel<each, P, G, Numbers, Count>,
                 cuda::striding_grid((end - range.begin + each - 1) / each + 1,
                                     cuda::Context::instance().multiprocessors()),
                 update, range.begin, end);
  }

  Options options_;
  Index steps_ = 0, count_, first_index_;
  std::vector<UpdateRange> ranges_;
  std::array<Buffer<Cuda>, most> remembered_;
  Buffer<Cuda> copy_;
};

template <class G>
struct AddEach {
  G* sum;
  const G* values;
  constexpr void operator()(Index i) const { sum[i] += values[i]; }
};

template <Real G>
void add_values(Cuda, G* sum, const G* values, Index count) {
  for_each_index("gradient", count, AddEach<G>{sum, values});
}

template <Real G>
DeviceNumber<double, Cuda> sum_of_squares(Cuda, std::span<const G> values) {
  using Flat = View<G, Shape<dyn>, Cuda>;
  const Flat all{{}, const_cast<G*>(values.data()), Shape<dyn>{{static_cast<Index>(values.size())}}};
  return DeviceNumber<double, Cuda>{sum(square(cast<double>(all)))};
}

inline DeviceNumber<double, Cuda> square_root(Cuda, const DeviceNumber<double, Cuda>& x) {
  return DeviceNumber<double, Cuda>{sqrt(x.tensor())};
}

struct ClipFactor {
  const double* norm;
  double max_norm;
  double* factor;
  constexpr void operator()(Index) const {
    const double n = *norm;
    *factor = n - n != 0 ? std::numeric_limits<double>::quiet_NaN() : n > max_norm ? max_norm / n : 1.0;
  }
};

}  // namespace burrow::detail

namespace burrow {

/// The same for a norm on the device, without a wait.
inline DeviceNumber<double, Cuda> clip_factor(const DeviceNumber<double, Cuda>& norm, double max_norm,
                                              Location where = Location::here()) {
  if (!(max_norm > 0)) throw ValueError("clip_factor: the largest norm must be positive" + at(where));
  Tensor<double, Shape<>, Cuda> factor;
  detail::for_each_index("clip_factor", 1, detail::ClipFactor{norm.tensor().data(), max_norm, factor.data()});
  return DeviceNumber<double, Cuda>{factor};
}

}  // namespace burrow
