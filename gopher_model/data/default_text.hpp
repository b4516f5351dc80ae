// The text that programs train on when they are given none: burrow's own sources and documents.
#pragma once

#include <vector>

#include "gopher_model/data/documents.hpp"

namespace gopher {

/// The sources and documents of this project, from the directory it was built from; names are relative to it.
/// Throws IoError, which says to pass --data, when the directory is gone.
std::vector<Document> default_documents();

}  // namespace gopher
