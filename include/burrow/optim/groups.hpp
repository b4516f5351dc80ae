// Groups of parameters whose updates differ: chosen by name, by the layer they belong to, or because they
// have fewer than two axes.
//
//   auto optimizer = Adam{model, {.weight_decay = 0.1}, decay_matrices_only(model)};
//   auto groups = parameter_groups(model, named("blocks.0.*", {.frozen = true}),
//                                  layers<RmsNorm>({.learning_rate_factor = 0.5}));
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <burrow/nn/module.hpp>
#include <burrow/optim/layout.hpp>

namespace burrow {

/// True where `pattern` describes all of `text`: `*` stands for any characters (dots too), `?` for one.
constexpr bool matches_pattern(std::string_view pattern, std::string_view text) {
  std::size_t p = 0, t = 0, star = pattern.npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

namespace detail {

struct NamedRule {
  std::string pattern;
  GroupOptions options;
  Location where;
};
struct VectorsRule {
  GroupOptions options;
};
template <class Matches>
struct LayersRule {
  GroupOptions options;
  Location where;
};

// Which layers a rule is for: found(std::type_identity<M>) says true of those.
template <class Layer>
struct MatchesType {
  static std::false_type found(...);
  static std::true_type found(std::type_identity<Layer>);
};
template <template <class> class Layer>
struct Matches1 {
  static std::false_type found(...);
  template <class A>
  static std::true_type found(std::type_identity<Layer<A>>);
};
template <template <Index, class> class Layer>
struct Matches2 {
  static std::false_type found(...);
  template <Index N, class A>
  static std::true_type found(std::type_identity<Layer<N, A>>);
};
template <template <Index, Index, class> class Layer>
struct Matches3 {
  static std::false_type found(...);
  template <Index N1, Index N2, class A>
  static std::true_type found(std::type_identity<Layer<N1, N2, A>>);
};
template <template <Index, Index, Index, class> class Layer>
struct Matches4 {
  static std::false_type found(...);
  template <Index N1, Index N2, Index N3, class A>
  static std::true_type found(std::type_identity<Layer<N1, N2, N3, A>>);
};

/// A layout in the making: `names` are those of its parameters.
struct GroupedParameters {
  std::vector<std::string> names;
  ParameterLayout layout;

  /// Sets what the options set for the parameters from flat index `begin` up to `end`.
  bool set(Index begin, Index end, const GroupOptions& options) {
    bool any = false;
    for (ParameterPlace& place : layout) {
      if (place.begin < begin || place.end() > end) continue;
      overwrite(place.group, options);
      any = true;
    }
    return any;
  }
  static void overwrite(GroupOptions& group, const GroupOptions& by) {
    if (by.learning_rate_factor) group.learning_rate_factor = by.learning_rate_factor;
    if (by.weight_decay) group.weight_decay = by.weight_decay;
    if (by.frozen) group.frozen = by.frozen;
  }

  /// Says which parameters belong to a repeated block, of blocks within blocks the outermost.
  template <class Block>
  void mark_block(const Block& block) {
    Index begin = -1;
    walk_parameters(block, [&](const ModulePath&, const auto& p) {
      if (begin < 0) begin = p.offset();
      for (ParameterPlace& place : layout)
        if (place.begin == p.offset() && place.block < 0) place.block = begin;
    });
  }

  [[gnu::noinline]] void add(const ModulePath& path, Index begin, std::span<const Index> extents,
                             const ParameterShare& share, bool is_trained) {
    names.push_back(path.text());
    layout.push_back(parameter_place(begin, extents));
    layout.back().share = share;
    if (!is_trained) layout.back().group.frozen = true;
  }
};

template <class Model>
void apply(const NamedRule& rule, const Model&, GroupedParameters& parameters) {
  bool any = false;
  for (std::size_t i = 0; i < parameters.layout.size(); ++i) {
    if (!matches_pattern(rule.pattern, parameters.names[i])) continue;
    GroupedParameters::overwrite(parameters.layout[i].group, rule.options);
    any = true;
  }
  if (!any)
    throw ValueError("parameter_groups: no parameter is named '" + rule.pattern + "'" + at(rule.where));
}

template <class Model>
void apply(const VectorsRule& rule, const Model& model, GroupedParameters& parameters) {
  std::size_t i = 0;
  for_each_parameter(model, [&](const std::string&, const auto& p) {
    if (p.shape().values().size() < 2) GroupedParameters::overwrite(parameters.layout[i].group, rule.options);
    ++i;
  });
}

template <class Matches, class Model>
void apply(const LayersRule<Matches>& rule, const Model& model, GroupedParameters& parameters) {
  bool any = false;
  for_each_module(model, [&]<class M>(const std::string&, const M& module) {
    if constexpr (decltype(Matches::found(std::type_identity<M>{}))::value) {
      for_each_parameter(module, [&](const std::string&, const auto& p) {
        any |= parameters.set(p.offset(), p.offset() + p.size(), rule.options);
      });
    }
  });
  if (!any)
    throw ValueError("parameter_groups: the model has no parameter in a layer of that type" + at(rule.where));
}

}  // namespace detail

/// The parameters whose names match the pattern: "*.bias", "blocks.?.attention.*".
inline detail::NamedRule named(std::string pattern, const GroupOptions& options,
                               Location where = Location::here()) {
  detail::check_group(options, where);
  return {std::move(pattern), options, where};
}

/// The parameters of fewer than two axes: biases, the gains of norms.
inline detail::VectorsRule vectors(const GroupOptions& options, Location where = Location::here()) {
  detail::check_group(options, where);
  return {options};
}

/// The parameters of all layers of a type, `layers<Linear<8, 8>>(...)`, or of a template with extents and a
/// policy, `layers<RmsNorm>(...)`, with all that they contain.
template <class Layer>
detail::LayersRule<detail::MatchesType<Layer>> layers(const GroupOptions& options,
                                                      Location where = Location::here()) {
  detail::check_group(options, where);
  return {options, where};
}
template <template <class> class Layer>
detail::LayersRule<detail::Matches1<Layer>> layers(const GroupOptions& options,
                                                   Location where = Location::here()) {
  detail::check_group(options, where);
  return {options, where};
}
template <template <Index, class> class Layer>
detail::LayersRule<detail::Matches2<Layer>> layers(const GroupOptions& options,
                                                   Location where = Location::here()) {
  detail::check_group(options, where);
  return {options, where};
}
template <template <Index, Index, class> class Layer>
detail::LayersRule<detail::Matches3<Layer>> layers(const GroupOptions& options,
                                                   Location where = Location::here()) {
  detail::check_group(options, where);
  return {options, where};
}
template <template <Index, Index, Index, class> class Layer>
detail::LayersRule<detail::Matches4<Layer>> layers(const GroupOptions& options,
                                                   Location where = Location::here()) {
  detail::check_group(options, where);
  return {options, where};
}

/// The layout of a built model's parameters under the rules `named`, `layers` and `vectors`. Each rule sets
/// what its options set; where two meet, the later one holds. A `Statistic` is frozen at first. Throws
/// ValueError where `named` or `layers` finds no parameter.
template <Module Model, class... Rules>
ParameterLayout parameter_groups(const Model& model, const Rules&... rules) {
  detail::GroupedParameters found;
  found.layout.reserve(64);
  (void)parameters(model, {});  // an unbuilt model is refused by its name
  detail::walk_parameters(model, [&]<class P>(const detail::ModulePath& path, const P& p) {
    found.add(path, p.offset(), p.shape().values(), p.share(), P::is_trained);
  });
  for_each_module(model, [&]<class M>(const std::string&, const M& module) {
    if constexpr (detail::NumberedModules<const M>)
      for (const auto& block : module.modules()) found.mark_block(block);
  });
  (detail::apply(rules, model, found), ...);
  return std::move(found.layout);
}

/// The groups in which only parameters of two or more axes decay: no biases and no gains.
template <Module Model>
ParameterLayout decay_matrices_only(const Model& model, Location where = Location::here()) {
  (void)parameters(model, where);
  return parameter_groups(model, vectors({.weight_decay = 0}));
}

}  // namespace burrow
