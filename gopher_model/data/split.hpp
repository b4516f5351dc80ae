// Divides documents into a training part and a held-out part.
#pragma once

#include <burrow/core/key.hpp>
#include <vector>

#include "gopher_model/data/documents.hpp"

namespace gopher {

/// Two parts without a byte in common; neither is empty.
struct Split {
  std::vector<Document> training;
  std::vector<Document> held_out;
};

/// Holds out about 5% of the bytes. Of 20 documents or more, whole documents are drawn by `key` and their
/// content alone, so that order and names do not matter and equal texts stay on one side. Of fewer documents,
/// or when the draw would take more than a fifth because sizes are very uneven, the end of each is held out,
/// cut at a line where there is one. Throws ValueError for a text under 256 bytes.
Split split_documents(std::vector<Document> documents, burrow::Key key);

}  // namespace gopher
