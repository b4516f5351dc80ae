// Reads the documents of a data set: a text file, JSON lines, a directory of them, or standard input, all of
// them compressed or not.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gopher {

/// One text that is modelled as a whole; the name says where it came from.
struct Document {
  std::string name;
  std::string text;
};

/// The documents of `source`: of a file, one (of a `.jsonl` file, one per line, its field "text"); of a
/// directory, those of all its files in alphabetical order, without hidden and binary files (those with a NUL
/// byte, whose names are added to `binary`), links to directories, and build products; of "-", standard
/// input, which holds JSON lines if its first line is one. Files that end in `.gz` or `.zst` are unpacked
/// first, and so is standard input that is compressed. Empty documents are left out. Throws IoError when
/// nothing remains, something cannot be read, or a line is not what it should be.
std::vector<Document> read_documents(const std::string& source, std::vector<std::string>* binary = nullptr);

/// All bytes of standard input. Throws IoError if it cannot be read.
std::string read_standard_input();

/// The documents of JSON lines: of every line that is not blank, the field "text". Errors name `name` and the
/// line.
std::vector<Document> parse_json_lines(std::string_view lines, const std::string& name);

/// The texts alone, as Tokenizer::train takes them; the views live as long as `documents`.
std::vector<std::string_view> texts(std::span<const Document> documents);

/// Sum of the texts' lengths in bytes.
std::uint64_t total_bytes(std::span<const Document> documents);

}  // namespace gopher
