// Finds the parameters of a module and their names, and counts them. Modules are plain structs whose members
// are parameters, modules, and arrays of modules.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <burrow/autodiff/parameter.hpp>
#include <burrow/core/reflection.hpp>

namespace burrow {

namespace detail {

template <class M>
inline constexpr bool is_parameter = requires {
  requires std::remove_cv_t<M>::is_parameter;
};

/// Types that hold modules by number: std::array, std::vector and what declares `modules()`. What declares
/// `number(i)` as well says by which.
template <class M>
inline constexpr bool is_sequence = false;
template <class M, std::size_t N>
inline constexpr bool is_sequence<std::array<M, N>> = Reflectable<M> || is_parameter<M>;
template <class M, class A>
inline constexpr bool is_sequence<std::vector<M, A>> = Reflectable<M> || is_parameter<M>;

/// A module that may be absent; it has no name of its own.
template <class M>
inline constexpr bool is_optional_module = false;
template <class M>
inline constexpr bool is_optional_module<std::optional<M>> = true;

template <class M>
concept NumberedModules = requires(M& m) {
  m.modules();
};
/// The number by which the module at place i of several is known.
template <NumberedModules M>
std::size_t module_number(const M& module, std::size_t i) {
  if constexpr (requires { module.number(i); })
    return module.number(i);
  else
    return i;
}

/// Where a walk through a module stands; the name is put together when somebody asks for it.
struct ModulePath {
  const ModulePath* outer;
  std::string_view name;
  std::size_t number;  // counts where name.data() is null

  /// "blocks.3.attention.query.weight".
  [[gnu::noinline]] std::string text() const {
    std::string result = outer == nullptr ? std::string{} : outer->text();
    const std::string own = name.data() == nullptr ? std::to_string(number) : std::string(name);
    return result.empty() ? own : result.append(1, '.').append(own);
  }
};

/// Calls f(path, parameter) for every parameter and enter(path, module) for every module, from the outside
/// in.
template <class M, class F, class Enter>
void walk_module(M& module, const ModulePath& path, const F& f, const Enter& enter) {
  using Plain = std::remove_cv_t<M>;
  if constexpr (is_parameter<Plain>) {
    f(path, module);
  } else if constexpr (NumberedModules<M>) {
    enter(path, module);
    for (std::size_t i = 0; i < module.modules().size(); ++i)
      walk_module(module.modules()[i], ModulePath{&path, {}, module_number(module, i)}, f, enter);
  } else if constexpr (is_optional_module<Plain>) {
    if (module) walk_module(*module, path, f, enter);
  } else if constexpr (is_sequence<Plain>) {
    for (std::size_t i = 0; i < module.size(); ++i)
      walk_module(module[i], ModulePath{&path, {}, i}, f, enter);
  } else if constexpr (Reflectable<Plain>) {
    enter(path, module);
    for_each_member(module, [&](std::string_view name, auto& member) {
      walk_module(member, ModulePath{&path, name, 0}, f, enter);
    });
  }
}

/// Calls f(path, parameter) for every parameter.
template <class M, class F>
void walk_parameters(M& module, const F& f, std::string_view prefix = "") {
  walk_module(module, ModulePath{nullptr, prefix, 0}, f, [](const ModulePath&, auto&) {});
}

}  // namespace detail

/// Calls f(name, parameter) for every parameter of a module, in the order of declaration. Names are the
/// members' names joined by dots, with numbers in sequences: "blocks.3.attention.query.weight".
template <class M, class F>
void for_each_parameter(M& module, const F& f, const std::string& prefix = "") {
  detail::walk_parameters(
      module, [&](const detail::ModulePath& path, auto& p) { f(path.text(), p); }, prefix);
}

/// Calls f(name, module) for a module and every module inside it, each before what it contains. Names are
/// those of `for_each_parameter`; the outermost one's is `prefix`.
template <class M, class F>
void for_each_module(M& module, const F& f, const std::string& prefix = "") {
  detail::walk_module(
      module, detail::ModulePath{nullptr, prefix, 0}, [](const detail::ModulePath&, auto&) {},
      [&](const detail::ModulePath& path, auto& m) { f(path.text(), m); });
}

namespace detail {

template <class M>
struct CountParameters;

template <class M>
constexpr Index count_parameters() {
  if constexpr (is_parameter<M>) {
    static_assert(M::shape_type::is_static,
                  "parameter_count: the model has extents that are known at run time only");
    return typename M::shape_type{}.size();
  } else {
    return CountParameters<M>::value;
  }
}

template <class M>
struct CountParameters {
  template <class... Members>
  static constexpr Index sum(TypeList<Members...>) {
    return (Index{0} + ... + count_parameters<Members>());
  }
  static constexpr Index value = [] {
    if constexpr (Reflectable<M>)
      return sum(member_types<M>{});
    else
      return Index{0};
  }();
};
template <class M, std::size_t N>
struct CountParameters<std::array<M, N>> {
  static constexpr Index value = static_cast<Index>(N) * count_parameters<M>();
};

/// What a module's parameters are made of.
template <class T, class D>
struct ParameterKind {
  using element = T;
  using device = D;
};
struct NoParameters {
  using element = void;
  using device = Cpu;
};

/// The kind of a module's parameters; that of the first one found.
template <class M>
struct module_kind;
template <class M>
using module_kind_of = typename module_kind<M>::type;
template <class M>
using module_element_of = typename module_kind_of<M>::element;
template <class M>
using module_device_of = typename module_kind_of<M>::device;

template <class List>
struct first_module_kind {
  using type = NoParameters;
};
template <class First, class... Rest>
struct first_module_kind<TypeList<First, Rest...>> {
  using type = std::conditional_t<std::is_void_v<module_element_of<First>>,
                                  typename first_module_kind<TypeList<Rest...>>::type, module_kind_of<First>>;
};
template <class M>
struct module_kind {
  static auto find() {
    if constexpr (is_parameter<M>)
      return std::type_identity<ParameterKind<typename M::element, typename M::device>>{};
    else if constexpr (NumberedModules<M>)
      return module_kind<typename M::module_type>{};
    else if constexpr (Reflectable<M>)
      return first_module_kind<member_types<M>>{};
    else
      return std::type_identity<NoParameters>{};
  }
  using type = typename decltype(find())::type;
};
template <class M, std::size_t N>
struct module_kind<std::array<M, N>> : module_kind<M> {};
template <class M, class A>
struct module_kind<std::vector<M, A>> : module_kind<M> {};
template <class M>
struct module_kind<std::optional<M>> : module_kind<M> {};

}  // namespace detail

/// The number of parameters of a model with static extents, as a constant.
template <class Model>
inline constexpr Index parameter_count = detail::count_parameters<Model>();

/// Something with parameters of one element type.
template <class M>
concept Module = !std::is_void_v<detail::module_element_of<std::remove_cv_t<M>>>;

/// The number of parameters of a model, run-time extents included.
template <Module Model>
Index count_parameters(const Model& model) {
  Index count = 0;
  detail::walk_parameters(model, [&](const detail::ModulePath&, const auto& p) { count += p.size(); });
  return count;
}

}  // namespace burrow
