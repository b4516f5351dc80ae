// Modules are plain structs whose members are parameters, modules, and arrays of modules. This header finds
// the parameters and their names, builds a model into one flat storage, and differentiates a loss with
// respect to it.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <burrow/autodiff/parameter.hpp>
#include <burrow/autodiff/trace.hpp>
#include <burrow/core/pages.hpp>
#include <burrow/core/reflection.hpp>
#include <burrow/tensor/device_number.hpp>

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

/// A 64-bit hash of a parameter's name (FNV-1a), so that its first values depend on the name and not on the
/// order.
constexpr std::uint64_t name_hash(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

/// The number of the first random draw of a parameter that is known by its name, not by its place.
constexpr std::uint64_t draws_of(std::string_view name) { return name_hash(name) | (std::uint64_t{1} << 63); }

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

/// A built model's parameters as one flat array, in the memory of the model's device.
template <class T>
class FlatParameters {
 public:
  explicit FlatParameters(std::shared_ptr<detail::ParameterStore> store) : store_{std::move(store)} {}
  std::span<T> values() const {
    return {static_cast<T*>(store_->storage.data()), static_cast<std::size_t>(store_->size)};
  }
  detail::ParameterStore& store() const { return *store_; }
  const std::shared_ptr<detail::ParameterStore>& shared_store() const { return store_; }

 private:
  std::shared_ptr<detail::ParameterStore> store_;
};

namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void not_built(const char* operation, const ModulePath& path,
                                                             Location where) {
  throw Error(std::string(operation) + ": '" + path.text() +
              "' has no elements yet; make the model with build<Model>(key)" + at(where));
}

[[noreturn, gnu::cold, gnu::noinline]] inline void no_extents(const ModulePath& path, Location where) {
  throw ShapeError("build: '" + path.text() +
                   "' has extents that are known at run time only; give them, for example with sized(...)" +
                   at(where));
}

/// The first values of elements [begin, end) of the parameter at a path, by its rule.
template <class T>
[[gnu::noinline]] void initialise(T* data, Index begin, Index end, std::span<const Index> extents,
                                  const Initializer& initializer, Key model_key, const ModulePath& path) {
  const Initializer rule = initializer.resolved(extents.empty() ? 1 : extents[0]);
  const Key key = model_key.fold_in(name_hash(path.text()));
  parallel_for(end - begin, 4096, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) data[i] = static_cast<T>(rule(key, begin + i));
  });
}

}  // namespace detail

/// The flat parameters of a built model.
template <Module Model>
auto parameters(const Model& model, Location where = Location::here()) {
  using T = detail::module_element_of<Model>;
  const std::shared_ptr<detail::ParameterStore>* store = nullptr;
  detail::walk_parameters(model, [&](const detail::ModulePath& path, const auto& p) {
    if (!p.built()) detail::not_built("parameters", path, where);
    store = &p.store();
  });
  return FlatParameters<T>{store == nullptr ? nullptr : *store};
}

namespace detail {

/// The memory that a built model's elements lie in.
template <class Model>
const DeviceMemory& memory_of(const Model& model, Location where = Location::here()) {
  return *parameters(model, where).store().memory;
}

/// Gives a model its place in one flat storage; its elements are not initialised.
template <class Model>
void place(Model& model, Location where) {
  using T = module_element_of<Model>;
  using D = module_device_of<Model>;
  const StoreHandle store{std::make_shared<ParameterStore>()};
  store->size = burrow::count_parameters(model);
  store->storage = Buffer<D>{store->size * Index{sizeof(T)}};
  store->memory = &device_memory<D>;
  Index offset = 0;
  walk_parameters(model, [&]<class P>(const ModulePath& path, P& p) {
    static_assert(std::same_as<typename P::element, T> && std::same_as<typename P::device, D>,
                  "build: all parameters of a model have the same element type, on one device");
    if (!P::shape_type::is_static && p.size() == 0) no_extents(path, where);
    p.place(store, offset);
    offset += p.size();
  });
}

/// Gives elements [first, last) of a placed model's flat storage their first values.
template <class Model>
void initialise_range(Model& model, Key key, Index first, Index last) {
  using T = module_element_of<Model>;
  const auto all = parameters(model).values();
  HostValues<T> values{memory_of(model),
                       all.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first))};
  walk_parameters(model, [&](const ModulePath& path, auto& p) {
    const Index begin = std::max(first, p.offset()), end = std::min(last, p.offset() + p.size());
    if (begin < end)
      initialise(values.data() + (begin - first), begin - p.offset(), end - p.offset(), p.shape().values(),
                 p.initializer(), key, path);
  });
  values.put();
}

}  // namespace detail

/// Gives a model its elements: one flat storage, first values by each parameter's rule. Element i of a
/// parameter depends on the key, the parameter's name and i only; it is drawn on the host, so that a model
/// has the same bits on every device. The model may hold run-time extents.
template <Module Model>
Model build(Model model, Key key, Location where = Location::here()) {
  detail::place(model, where);
  detail::initialise_range(model, key, 0, parameters(model).store().size);
  return model;
}

/// A model of static extents with its elements: of `Model::make()` where the model declares it, else of
/// `Model{}`.
template <Module Model>
Model build(Key key, Location where = Location::here()) {
  if constexpr (requires { Model::make(); })
    return build(Model::make(), key, where);
  else
    return build(Model{}, key, where);
}

template <Real T, class D>
class ParameterSelection;

namespace detail {
template <class M>
inline constexpr bool is_selection = false;
template <class T, class D>
inline constexpr bool is_selection<ParameterSelection<T, D>> = true;
}  // namespace detail

/// The gradient of a loss with respect to a model's parameters: flat, in the order of the parameters, zero at
/// first. fp32 for bf16 parameters. It lies on the model's device, and so do the spans that it gives.
template <Module Model>
class Gradient {
  using D = detail::module_device_of<Model>;

 public:
  using element = compute_type<detail::module_element_of<Model>>;

  explicit Gradient(const Model& model)
      : values_{Shape<dyn>{{parameters(model).store().size}}}, ranges_{ranges_of(model)} {
    clear();
  }
  /// As above, of memory that is taken as it is written. Throws Error where the system cannot do that.
  Gradient(const Model& model, detail::Untouched)
      : values_{Shape<dyn>{{parameters(model).store().size}}}, ranges_{ranges_of(model)} {
    detail::discard(values_.data(), static_cast<Index>(values().size_bytes()));
  }

  std::span<element> values() { return {values_.data(), static_cast<std::size_t>(values_.size())}; }
  std::span<const element> values() const {
    return {values_.data(), static_cast<std::size_t>(values_.size())};
  }
  void clear() {
    const auto all = values();
    if constexpr (!detail::on_host<D>)
      return fill_zero(D{}, all.data(), static_cast<Index>(all.size_bytes()));
    parallel_for(static_cast<Index>(all.size()), Index{1} << 16, [&](Index begin, Index end) {
      std::fill(all.begin() + begin, all.begin() + end, element(0));
    });
  }

  /// The flat ranges of the parameters that are differentiated; empty where all are. The rest stays zero.
  std::span<const detail::ParameterRange> ranges() const { return ranges_; }

  /// The gradient of one parameter of the model, as a span of its size.
  template <class P>
  std::span<const element> of(const P& parameter) const {
    return values().subspan(static_cast<std::size_t>(parameter.offset()),
                            static_cast<std::size_t>(parameter.size()));
  }

 private:
  static std::vector<detail::ParameterRange> ranges_of(const Model& model) {
    if constexpr (requires {
                    { model.ranges() } -> std::convertible_to<std::vector<detail::ParameterRange>>;
                  })
      return model.ranges();
    else
      return {};
  }

  Tensor<element, Shape<dyn>, D> values_;
  std::vector<detail::ParameterRange> ranges_;
};

/// Adds the gradient of f(tape), a traced scalar, to `gradient`, and returns the value of f: a number, on a
/// device a DeviceNumber, for which nobody waited. Inputs watched by the tape inside f are not
/// differentiated: only the model's parameters are. A listener is told when the gradients of parameters are
/// complete.
template <Module Model, class F>
auto accumulate_gradient(const Model& model, Gradient<Model>& gradient, const F& f,
                         detail::SweepListener* listener = nullptr) {
  Tape tape{Tape::Inputs::constant};
  tape.differentiate(parameters(model).store(), gradient.values().data(), gradient.ranges(), listener);
  const auto loss = materialize(f(tape));
  static_assert(Traced<decltype(loss)>,
                "value_and_grad: the loss is not traced; watch the input with tape.watch(x)");
  tape.backward(loss);
  return detail::number_of(loss.value());
}

/// The value of f(tape), a traced scalar computed with the model, and its gradient with respect to the model.
template <Module Model, class F>
requires std::invocable<const F&, Tape&>
auto value_and_grad(const Model& model, const F& f) {
  Gradient<Model> gradient{model};
  const auto value = accumulate_gradient(model, gradient, f);
  return std::pair{value, std::move(gradient)};
}

// What modules refuse.
namespace operation {
struct build;
struct parameters;
struct value_and_grad;
}  // namespace operation
template <class Model>
requires(!Module<Model>) auto build(Key) -> misuse::module_has_no_parameters<operation::build, Model>;
template <class Model>
requires(!Module<Model>) auto build(const Model&, Key)
    -> misuse::module_has_no_parameters<operation::build, Model>;
template <class Model>
requires(!Module<Model>) auto parameters(const Model&)
    -> misuse::module_has_no_parameters<operation::parameters, Model>;
template <class Model, class F>
requires(!Module<Model> && std::invocable<const F&, Tape&>) auto value_and_grad(const Model&, const F&)
    -> misuse::module_has_no_parameters<operation::value_and_grad, Model>;

}  // namespace burrow
