// Misuse: names for what operations refuse at compile time. An operation that is called with types that do
// not fit returns one of these, and none of them is ever defined: so the compiler's first error stands in the
// caller's line and spells out the operation and the shapes, and `requires { f(x); }` is false there. See
// docs/internals/errors.md.
//
// Compilers show the line of the declaration, so the rule stands in it.
#pragma once

namespace burrow::misuse {

// `Operation` is a functor (functors::Add) or a name in burrow::operation.

template <class Operation, class... Shapes>
struct shapes_do_not_broadcast;  // aligned at the last axis, extents are equal, or one is a static 1
template <class Operation, class... Shapes>
struct shapes_do_not_fit;  // the operation's comment in its header says which extents meet
template <class Operation, class... Devices>
struct devices_differ;  // operands lie on one device
template <class Shape, class Device>
struct elements_are_not_on_the_host;  // copy them there first: to<Cpu>(x)
template <class Operation, class... Elements>
struct element_types_are_refused;  // the operation's comment in its header says which types it takes
template <class Operation, class Shape, int... Axes>
struct axes_do_not_fit;  // an axis is in [-rank, rank) and is given once
template <class Operation, class Shape, class... Indices>
struct indices_do_not_fit;  // one for each axis at most, each inside of its axis, and one ellipsis
template <class Shape, int Given>
struct number_of_indices_differs;  // x(i, j, ...) takes one index for each axis
template <class Shape, int Given>
struct number_of_elements_differs;  // as many elements as the shape has, row-major
template <class Operation, class Module>
struct module_has_no_parameters;  // a module is an aggregate with members that are parameters or modules
template <class Model, class Other>
struct gradient_of_another_model;  // step(model, gradient) takes a Gradient of the model's type
template <class Operation, class Argument>
struct argument_is_refused;  // the operation's comment in its header says what it takes
template <class Operation, class Argument>
struct gradient_would_be_lost;  // take it out of the trace first: stop_gradient(x), or x.value()
template <class Operation, class Argument>
struct is_not_traced;  // only what is computed from tape.watch(x) has a gradient

}  // namespace burrow::misuse
