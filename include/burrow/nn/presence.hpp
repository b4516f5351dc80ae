// What tells a model's store that a block's parameters are needed, and are needed no more.
#pragma once

#include <burrow/autodiff/trace.hpp>
#include <burrow/nn/module.hpp>

namespace burrow::detail {

/// The first parameter of a module, at the address of `found`.
template <class M>
const ParameterStore* first_store(const M& module, Index& offset) {
  if constexpr (is_parameter<M>) {
    offset = module.offset();
    return module.store().get();
  } else if constexpr (std::is_void_v<module_element_of<M>>) {
    return nullptr;
  } else if constexpr (NumberedModules<const M>) {
    return module.modules().empty() ? nullptr : first_store(module.modules()[0], offset);
  } else if constexpr (is_sequence<M>) {
    return module.empty() ? nullptr : first_store(module[0], offset);
  } else if constexpr (is_optional_module<M>) {
    return module ? first_store(*module, offset) : nullptr;
  } else {
    return visit_members(module, [&](const auto&... members) {
      const ParameterStore* found = nullptr;
      ((found = found != nullptr ? found : first_store(members, offset)), ...);
      return found;
    });
  }
}

/// One passage through a block: whoever keeps the store's parameters hears of its begin and end, in both
/// passes, and whether its values are computed `again` for the backward pass. Nothing happens where nobody
/// does.
class BlockPassage {
 public:
  template <class Block>
  explicit BlockPassage(const Block& block, bool again = false) : again_{again} {
    const ParameterStore* const store = first_store(block, offset_);
    if (store != nullptr) keeper_ = store->keeper;
  }

  /// x as it enters the block, and y as it leaves.
  template <class X>
  X entering(const X& x) const {
    return told(x, again_ ? Moment::again_begins : Moment::forward_begins, Moment::backward_ends,
                "block begins");
  }
  template <class X>
  X leaving(const X& y) const {
    return told(y, again_ ? Moment::again_ends : Moment::forward_ends, Moment::backward_begins, "block ends");
  }

 private:
  using Moment = ParameterKeeper::Moment;

  template <class X>
  X told(const X& x, Moment now, Moment backward, const char* name) const {
    if (keeper_ == nullptr) return x;
    keeper_->at(now, offset_);
    if constexpr (Traced<X>)
      return record(
          tape_of(x), name, x.value(),
          [x = gradient_place(x), backward, keeper = keeper_, offset = offset_](const auto& dy) {
            keeper->at(backward, offset);
            add_gradient(x, dy);
          },
          x);
    else
      return x;
  }

  ParameterKeeper* keeper_ = nullptr;
  Index offset_ = 0;
  bool again_ = false;
};

}  // namespace burrow::detail
