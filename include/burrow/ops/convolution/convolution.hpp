// Convolution of sequences and images with the channels as the last axis.
#pragma once

#include <burrow/ops/convolution/cpu.hpp>
#include <burrow/tensor/indexing.hpp>

namespace burrow {

namespace detail {

/// True where x is [batch, Axes extents, C] and the weight is [Axes extents, C / groups, out], out a multiple
/// of the groups (or may be at run time).
template <std::size_t Axes, class X, class W>
constexpr bool convolution_extents_fit() {
  if constexpr (X::extents.size() == Axes + 2 && W::extents.size() == Axes + 2) {
    const Index channels = X::extents[Axes + 1], in = W::extents[Axes], out = W::extents[Axes + 1];
    if (channels == dyn || in == dyn) return true;
    return in > 0 && channels % in == 0 && (out == dyn || (channels > 0 && out % (channels / in) == 0));
  }
  return false;
}

template <class X, class W, Window<2> How>
struct convolution_shape {
  static constexpr std::array<Index, 4> extents{
      X::extents[0], window_extent(How, 0, X::extents[1], W::extents[0]),
      window_extent(How, 1, X::extents[2], W::extents[1]), W::extents[3]};
};

inline ConvolutionExtents convolution_extents(const Window<2>& how, const Shape<dyn, dyn, dyn, dyn>& x,
                                              const Shape<dyn, dyn, dyn, dyn>& w, Location where) {
  const Index groups = w[2] > 0 ? x[3] / w[2] : 0;
  const ConvolutionExtents e{
      x[0], window_axis(how, 0, x[1], w[0]), window_axis(how, 1, x[2], w[1]), x[3], w[3], groups};
  if (groups == 0 || groups * w[2] != x[3] || w[3] % groups != 0)
    throw ShapeError("convolution: channels of " + x.text() + " do not fit weights " + w.text() + at(where));
  if (e.rows.out == 0 || e.columns.out == 0)
    throw ShapeError("convolution: the window of " + w.text() + " is larger than the image of " + x.text() +
                     at(where));
  return e;
}

}  // namespace detail

/// Operands of a convolution over `Axes` axes.
template <class X, class W, std::size_t Axes>
concept Convolvable = Expression<X> && Expression<W> && Real<element_of<X>> && Real<element_of<W>> &&
    detail::convolution_extents_fit<Axes, shape_of<X>, shape_of<W>>();

/// y[b, i, j, o] = sum_{r, s, c} x[b, i stride + r dilation - before, j stride + s dilation - before, c]
/// weight[r, s, c, o], where x is zero outside of the image (a cross-correlation, as everywhere in the
/// field). Images are [B, H, W, C], channels last, so that the C inputs of a tap lie together and the sum is
/// a matrix product; weights are [kernel height, kernel width, C / groups, out]. The number of groups follows
/// from the extents: group g of the inputs makes group g of the outputs; with one input to a group the
/// convolution is depthwise. The result is [B, H', W', out], H' = (H + before + after - dilation (kernel - 1)
/// - 1) / stride + 1 rounded down, or ceil(H / stride) for `same`; static where its operands are. Sums in
/// fp32 for bf16. Throws ShapeError where run-time extents do not fit. Gradients: dx sums dy weight over the
/// outputs that read an element, dweight sums x dy over the outputs.
template <Window<2> How = Window<2>{}, class X, class W>
requires Convolvable<X, W, 2>
auto convolution2d(const X& x, const W& weight, Location where = Location::here()) {
  using T = promoted<element_of<X>, element_of<W>>;
  using D = device_of<X>;
  using S = ShapeOf<detail::convolution_shape<shape_of<X>, shape_of<W>, How>>;
  using Any = Shape<dyn, dyn, dyn, dyn>;
  const auto tape = tape_of(x, weight);
  const auto in = dense_operand(tape, cast<T>(x));
  const auto w = dense_operand(tape, cast<T>(weight));
  const auto e = detail::convolution_extents(How, Any{in.shape().values()}, Any{w.shape().values()}, where);
  Tensor<T, S, D> y{S{{e.batch, e.rows.out, e.columns.out, e.out}}};
  convolution_forward(D{}, e, in.view().data(), w.view().data(), y.data());
  const double flops = 2 * static_cast<double>(y.size()) * static_cast<double>(e.patch());
  const Work work{flops, static_cast<double>(in.shape().size() + w.shape().size() + y.size()) * sizeof(T)};
  if (detail::observed()) detail::tell_work(work);
  return record(
      tape, "convolution", y,
      [in, w, e, work](const auto& dy) {
        if (const auto dx = detail::dense_target(in)) {
          convolution_input_gradient(D{}, e, w.view().data(), dy.data(), dx);
          if (detail::observed()) detail::tell_work(work);
        }
        if (const auto dw = detail::dense_target(w)) {
          convolution_weight_gradient(D{}, e, in.view().data(), dy.data(), dw);
          if (detail::observed()) detail::tell_work(work);
        }
      },
      in, w);
}

/// y[b, t, o] = sum_{k, c} x[b, t stride + k dilation - before, c] weight[k, c, o]: sequences [B, T, C] and
/// weights [kernel, C / groups, out] to [B, T', out], as `convolution2d`. A border of dilation (kernel - 1)
/// before, and none after, makes it causal.
template <Window<1> How = Window<1>{}, class X, class W>
requires Convolvable<X, W, 1>
auto convolution1d(const X& x, const W& weight, Location where = Location::here()) {
  using SX = shape_of<X>;
  using SW = shape_of<W>;
  const auto tape = tape_of(x, weight);
  const auto in = operand(tape, x);
  const auto w = operand(tape, weight);
  const auto plane = reshape(in, Shape<SX::extents[0], 1, SX::extents[1], SX::extents[2]>{
                                     {in.shape()[0], 1, in.shape()[1], in.shape()[2]}});
  const auto taps = reshape(w, Shape<1, SW::extents[0], SW::extents[1], SW::extents[2]>{
                                   {1, w.shape()[0], w.shape()[1], w.shape()[2]}});
  const auto y = convolution2d<detail::on_plane(How)>(plane, taps, where);
  using SY = shape_of<decltype(y)>;
  return reshape(
      y, Shape<SY::extents[0], SY::extents[2], SY::extents[3]>{{y.shape()[0], y.shape()[2], y.shape()[3]}});
}

// What does not fit; see core/misuse.hpp.
namespace operation {
struct convolution1d;
struct convolution2d;
}  // namespace operation
namespace detail {
template <class Operation, class X, class W>
using ConvolutionMisuse =
    std::conditional_t<Real<element_of<X>> && Real<element_of<W>>,
                       misuse::shapes_do_not_fit<Operation, shape_of<X>, shape_of<W>>,
                       misuse::element_types_are_refused<Operation, element_of<X>, element_of<W>>>;
}  // namespace detail
template <Window<2> How = Window<2>{}, Expression X, Expression W>
requires(!Convolvable<X, W, 2>) auto convolution2d(const X&, const W&, Location = {})
    -> detail::ConvolutionMisuse<operation::convolution2d, X, W>;
template <Window<1> How = Window<1>{}, Expression X, Expression W>
requires(!Convolvable<X, W, 1>) auto convolution1d(const X&, const W&, Location = {})
    -> detail::ConvolutionMisuse<operation::convolution1d, X, W>;

}  // namespace burrow
