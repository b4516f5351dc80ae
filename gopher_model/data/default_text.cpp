#include "gopher_model/data/default_text.hpp"

#include <algorithm>
#include <array>
#include <burrow/core/error.hpp>
#include <filesystem>
#include <iterator>
#include <string>
#include <system_error>

namespace gopher {

std::vector<Document> default_documents() {
  static constexpr std::array parts{"include", "gopher_model", "examples", "benchmarks", "tests",
                                    "docs",    "scripts",      "cmake",    "README.md",  "CMakeLists.txt"};
  namespace fs = std::filesystem;
  const fs::path root = GOPHER_SOURCE_DIR;
  std::error_code ignored;
  std::vector<Document> documents;
  for (const auto* part : parts) {
    const fs::path path = root / part;
    if (!fs::exists(path, ignored) || fs::is_empty(path, ignored)) continue;
    std::ranges::move(read_documents(path.string()), std::back_inserter(documents));
  }
  if (documents.empty()) {
    throw burrow::IoError(root.string() +
                          " no longer holds the sources that this program was built from; pass --data with a "
                          "text file or a directory of your own.");
  }
  for (auto& document : documents) {
    document.name = fs::path(document.name).lexically_relative(root).generic_string();
  }
  return documents;
}

}  // namespace gopher
