// Rematerialisation: keep a computation's input instead of its inner values, and compute it again in the
// backward pass.
#pragma once

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

}  // namespace detail

/// f(x, constants...), recording only x: the backward pass calls f again and differentiates it then. The
/// gradient reaches x and the model parameters that f uses. The constants are untraced, and so is whatever f
/// captured. Without a trace, just the value of f(x, constants...).
template <class F, Expression X, class... Constants>
auto checkpoint(const F& f, const X& x, const Constants&... constants) {
  if constexpr (!Traced<X>) {
    return materialize(f(x, constants...));
  } else {
    const auto in = materialize(x);
    Tape& tape = in.tape();
    const auto y = [&] {
      struct Suspended {
        Tape& tape;
        explicit Suspended(Tape& t) : tape{t} { tape.suspend_parameters(true); }
        ~Suspended() { tape.suspend_parameters(false); }
      } const suspended{tape};
      return materialize(f(in.value(), constants...));
    }();
    const auto backward = [kept = detail::Kept<F>{f}, in, &tape, constants...](const auto& dy) {
      Tape part;
      part.share_parameters(tape);
      const auto again = part.watch(in.value());
      part.backward(materialize(kept.get()(again, constants...)), dy);
      if (in.wanted()) add_gradient(in, part.gradient(again));
    };
    // Parameters are reached even where x itself needs no gradient.
    return tape.record("checkpoint", y, true, backward);
  }
}

}  // namespace burrow
