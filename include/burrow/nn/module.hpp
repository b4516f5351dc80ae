// Builds a module, a plain struct with parameters, into one flat storage, and differentiates a loss with
// respect to it. nn/parameters.hpp has what finds the parameters and their names.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <burrow/autodiff/trace.hpp>
#include <burrow/core/pages.hpp>
#include <burrow/nn/parameters.hpp>
#include <burrow/tensor/device_number.hpp>

namespace burrow {

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

/// A 64-bit hash of a parameter's name (FNV-1a), so that its first values depend on the name and not on the
/// order.
constexpr std::uint64_t name_hash(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

/// The number of the first random draw of a parameter that is known by its name, not by its place.
constexpr std::uint64_t draws_of(std::string_view name) { return name_hash(name) | (std::uint64_t{1} << 63); }

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

  /// Throws Error where the model has no elements yet.
  explicit Gradient(const Model& model, Location where = Location::here())
      : values_{Shape<dyn>{{parameters(model, where).store().size}}}, ranges_{ranges_of(model)} {
    clear();
  }
  /// As above, of memory that is taken as it is written. Throws Error where the system cannot do that.
  Gradient(const Model& model, detail::Untouched, Location where = Location::here())
      : values_{Shape<dyn>{{parameters(model, where).store().size}}}, ranges_{ranges_of(model)} {
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
                         detail::SweepListener* listener = nullptr, Location where = Location::here()) {
  Tape tape{Tape::Inputs::constant};
  tape.differentiate(parameters(model, where).store(), gradient.values().data(), gradient.ranges(), listener);
  const auto loss = materialize(f(tape));
  static_assert(Traced<decltype(loss)>,
                "value_and_grad: the loss is not traced; watch the input with tape.watch(x)");
  tape.backward(loss, where);
  return detail::number_of(loss.value());
}

/// The value of f(tape), a traced scalar computed with the model, and its gradient with respect to the model.
template <Module Model, class F>
requires std::invocable<const F&, Tape&>
auto value_and_grad(const Model& model, const F& f, Location where = Location::here()) {
  Gradient<Model> gradient{model, where};
  const auto value = accumulate_gradient(model, gradient, f, nullptr, where);
  return std::pair{value, std::move(gradient)};
}

// What modules refuse.
namespace operation {
struct build;
struct parameters;
struct value_and_grad;
}  // namespace operation
template <class Model>
requires(!Module<Model>) auto build(Key, Location = {})
    -> misuse::module_has_no_parameters<operation::build, Model>;
template <class Model>
requires(!Module<Model>) auto build(const Model&, Key, Location = {})
    -> misuse::module_has_no_parameters<operation::build, Model>;
template <class Model>
requires(!Module<Model>) auto parameters(const Model&, Location = {})
    -> misuse::module_has_no_parameters<operation::parameters, Model>;
template <class Model, class F>
requires(!Module<Model> && std::invocable<const F&, Tape&>) auto value_and_grad(const Model&, const F&,
                                                                                Location = {})
    -> misuse::module_has_no_parameters<operation::value_and_grad, Model>;

}  // namespace burrow
