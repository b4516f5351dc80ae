// Rematerialisation: keep a computation's input instead of its inner values, and compute it again in the
// backward pass.
#pragma once

#include <tuple>

#include <burrow/autodiff/trace.hpp>

namespace burrow {

namespace detail {

/// Keeps a function for later: a copy, or a reference where it cannot be copied (a module, which its model
/// keeps).
template <class F>
class Kept {
 public:
  explicit Kept(const F& f) : function_{f} {}
  const F& get() const { return function_; }

 private:
  std::conditional_t<std::is_copy_constructible_v<F>, F, const F&> function_;
};

/// An argument as it is kept for later: a traced value, a handle of a leaf, or a copy.
template <class X>
auto kept_argument(const X& x) {
  if constexpr (Traced<X>)
    return materialize(x);
  else if constexpr (Expression<X>)
    return to_node(x);
  else
    return x;
}

/// An argument without its trace.
template <class X>
auto without_trace(const X& x) {
  if constexpr (Traced<X>)
    return x.value();
  else
    return x;
}

/// A traced argument as a value that another tape watches, with a gradient where its own is asked for.
template <class X>
auto watched_again(Tape& tape, const X& x) {
  if constexpr (Traced<X>) {
    const auto value = x.value();
    return x.wanted() ? tape.watch(value)
                      : Var<element_of<X>, shape_of<X>, device_of<X>>{&tape, -1, value.leaf()};
  } else {
    return x;
  }
}

template <class X, class Again>
void add_gradient_from(const Tape& tape, const X& x, const Again& again) {
  if constexpr (Traced<X>)
    if (x.wanted()) add_gradient(x, tape.gradient(again));
}

template <class X>
bool is_wanted(const X& x) {
  if constexpr (Traced<X>)
    return x.wanted();
  else
    return false;
}

/// The tape of the first traced argument.
template <class... X>
Tape* first_tape(const X&... x) {
  Tape* found = nullptr;
  const auto look = [&](const auto& a) {
    if constexpr (Traced<decltype(a)>)
      if (found == nullptr) found = &a.tape();
  };
  (look(x), ...);
  return found;
}

/// Calls f while the parameters that a tape differentiates may be used without a trace.
template <class F>
auto with_suspended_parameters(Tape& tape, const F& f) {
  struct Suspended {
    Tape& tape;
    explicit Suspended(Tape& t) : tape{t} { tape.suspend_parameters(); }
    ~Suspended() { tape.resume_parameters(); }
  } const suspended{tape};
  return f();
}

}  // namespace detail

/// f(x...), recording only the arguments: the backward pass calls f again and differentiates it then. The
/// gradient reaches every traced argument, and the model parameters that f uses. A traced value that f
/// captured does not compile: give it to f as an argument. Without a trace, just the value of f(x...).
template <class F, class... X>
auto checkpoint(const F& f, const X&... x) {
  if constexpr (!(Traced<X> || ...)) {
    return materialize(f(x...));
  } else {
    const std::tuple in{detail::kept_argument(x)...};
    Tape& tape = *std::apply([](const auto&... i) { return detail::first_tape(i...); }, in);
    const auto y = detail::with_suspended_parameters(tape, [&] {
      return std::apply([&](const auto&... i) { return materialize(f(detail::without_trace(i)...)); }, in);
    });
    static_assert(
        !Traced<decltype(y)>,
        "checkpoint: the function captured a traced value; hand it over as an argument: checkpoint(f, "
        "x, captured)");
    const bool wanted = tape.parameters_met() ||
                        std::apply([&](const auto&... i) { return (detail::is_wanted(i) || ...); }, in);
    const auto backward = [kept = detail::Kept<F>{f}, in, &tape](const auto& dy) {
      Tape part;
      part.share_parameters(tape);
      std::apply(
          [&](const auto&... i) {
            const std::tuple again{detail::watched_again(part, i)...};
            part.backward(materialize(std::apply(kept.get(), again)), dy);
            std::apply([&](const auto&... a) { (detail::add_gradient_from(part, i, a), ...); }, again);
          },
          in);
    };
    return tape.record("checkpoint", y, wanted, backward);
  }
}

}  // namespace burrow
