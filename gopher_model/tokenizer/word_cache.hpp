// Remembers the tokens of words already encoded; text repeats its words, and a look-up is far cheaper.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gopher {

/// Words and their tokens; bounded, it forgets everything when full.
class WordCache {
 public:
  using Tokens = std::vector<std::int32_t>;

  /// The tokens of `word`, or null.
  const Tokens* find(std::string_view word) const {
    const auto found = words_.find(word);
    return found == words_.end() ? nullptr : &found->second;
  }

  void insert(std::string_view word, const Tokens& tokens) {
    if (words_.size() == capacity) words_.clear();
    words_.emplace(word, tokens);
  }

 private:
  static constexpr std::size_t capacity = std::size_t{1} << 16;

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view word) const { return std::hash<std::string_view>{}(word); }
  };

  std::unordered_map<std::string, Tokens, Hash, std::equal_to<>> words_;
};

/// Lends every concurrent user a cache of its own, warm from earlier uses.
class WordCachePool {
 public:
  auto borrow() {
    const auto give_back = [this](WordCache* cache) {
      const std::scoped_lock lock{mutex_};
      idle_.emplace_back(cache);
    };
    return std::unique_ptr<WordCache, decltype(give_back)>{take().release(), give_back};
  }

 private:
  std::unique_ptr<WordCache> take() {
    const std::scoped_lock lock{mutex_};
    if (idle_.empty()) return std::make_unique<WordCache>();
    auto cache = std::move(idle_.back());
    idle_.pop_back();
    return cache;
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> idle_;
};

}  // namespace gopher
