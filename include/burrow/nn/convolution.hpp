// Convolution layers, channels last.
#pragma once

#include <burrow/nn/module.hpp>
#include <burrow/ops/convolution/convolution.hpp>

namespace burrow {

namespace detail {
/// Normal with deviation 1 / sqrt(inputs of an output).
inline Initializer tap_rule(Index inputs) {
  return init::normal(1.0f / std::sqrt(static_cast<float>(std::max<Index>(inputs, 1))));
}
constexpr Index grouped(Index channels, Index groups) { return channels == dyn ? dyn : channels / groups; }
}  // namespace detail

/// Convolution of sequences: [B, T, In] to [B, T', Out], `convolution1d(x, weight) + bias`. The weight is
/// [Kernel, In / Groups, Out], normal with deviation 1 / sqrt(Kernel In / Groups); the bias is zero.
template <Index In, Index Out, Index Kernel, Window<1> How = Window<1>{}, Index Groups = 1,
          class Policy = Float32<Cpu>>
struct Convolution1d {
  static constexpr bool mixes_rows = true;  ///< of a sequence or an image
  static_assert(Groups > 0 && In % Groups <= 0 && Out % Groups <= 0,
                "Convolution1d: the channels are not a multiple of the groups");
  static constexpr Index group_in = detail::grouped(In, Groups);
  Parameter<typename Policy::parameter, Shape<Kernel, group_in, Out>, typename Policy::device> weight{
      detail::tap_rule(Kernel * group_in)};
  Parameter<typename Policy::parameter, Shape<Out>, typename Policy::device> bias{init::zeros};

  static Convolution1d sized(Index in, Index out, Index kernel) {
    return {
        {Shape<Kernel, group_in, Out>{{kernel, in / Groups, out}}, detail::tap_rule(kernel * in / Groups)},
        {Shape<Out>{{out}}, init::zeros}};
  }
  auto operator()(const auto& x, Location where = Location::here()) const {
    using C = typename Policy::compute;
    return convolution1d<How>(x, cast<C>(weight), where) + cast<C>(bias);
  }
};

/// Convolution of images: [B, H, W, In] to [B, H', W', Out], `convolution2d(x, weight) + bias`. The weight is
/// [Kernel, Kernel, In / Groups, Out], normal with deviation 1 / sqrt(Kernel^2 In / Groups); the bias is
/// zero.
template <Index In, Index Out, Index Kernel, Window<2> How = Window<2>{}, Index Groups = 1,
          class Policy = Float32<Cpu>>
struct Convolution2d {
  static constexpr bool mixes_rows = true;  ///< of a sequence or an image
  static_assert(Groups > 0 && In % Groups <= 0 && Out % Groups <= 0,
                "Convolution2d: the channels are not a multiple of the groups");
  static constexpr Index group_in = detail::grouped(In, Groups);
  Parameter<typename Policy::parameter, Shape<Kernel, Kernel, group_in, Out>, typename Policy::device> weight{
      detail::tap_rule(Kernel * Kernel * group_in)};
  Parameter<typename Policy::parameter, Shape<Out>, typename Policy::device> bias{init::zeros};

  static Convolution2d sized(Index in, Index out, Index kernel) {
    return {{Shape<Kernel, Kernel, group_in, Out>{{kernel, kernel, in / Groups, out}},
             detail::tap_rule(kernel * kernel * in / Groups)},
            {Shape<Out>{{out}}, init::zeros}};
  }
  auto operator()(const auto& x, Location where = Location::here()) const {
    using C = typename Policy::compute;
    return convolution2d<How>(x, cast<C>(weight), where) + cast<C>(bias);
  }
};

}  // namespace burrow
