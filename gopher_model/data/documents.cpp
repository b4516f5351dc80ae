#include "gopher_model/data/documents.hpp"

#include <algorithm>
#include <array>
#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "gopher_model/data/compression.hpp"
namespace gopher {

namespace {

namespace fs = std::filesystem;

// Of a compressed file, the name beneath: "x.jsonl.gz" holds JSON lines.
bool is_json_lines(std::string_view name) {
  if (compression_of_name(name) != Compression::none) name = name.substr(0, name.rfind('.'));
  return name.ends_with(".jsonl");
}

bool is_build_product(const fs::path& directory) {
  static constexpr std::array<std::string_view, 4> names{"build", "CMakeFiles", "node_modules",
                                                         "__pycache__"};
  const std::string name = directory.filename().string();
  std::error_code ignored;
  return std::find(names.begin(), names.end(), name) != names.end() || name.starts_with("build-") ||
         name.starts_with("cmake-build-") || fs::exists(directory / "CMakeCache.txt", ignored);
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

[[noreturn]] void fail(const fs::path& path, const std::error_code& code) {
  throw burrow::IoError(path.string() + " cannot be read: " + code.message() + ".");
}

std::vector<fs::path> files_below(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code code;
  fs::recursive_directory_iterator entry{directory, code};
  if (code) fail(directory, code);
  while (entry != fs::recursive_directory_iterator{}) {
    const fs::path path = entry->path();
    const bool is_directory = entry->is_directory(code) && !entry->is_symlink(code);
    if (is_directory && (is_hidden(path) || is_build_product(path))) entry.disable_recursion_pending();
    if (entry->is_regular_file(code) && !is_hidden(path)) files.push_back(path);
    entry.increment(code);
    if (code) fail(path, code);
  }
  std::sort(files.begin(), files.end(),
            [](const fs::path& a, const fs::path& b) { return a.generic_string() < b.generic_string(); });
  return files;
}

std::string text_field(std::string_view line, const std::string& place) {
  auto value = nlohmann::json::parse(line, nullptr, false);
  if (value.is_discarded()) throw burrow::IoError(place + " is not valid JSON in UTF-8.");
  const auto field = value.is_object() ? value.find("text") : value.end();
  if (field == value.end() || !field->is_string()) {
    throw burrow::IoError(place + " is not a JSON object with a string in its field \"text\".");
  }
  return std::move(field->get_ref<std::string&>());
}

std::vector<Document> to_documents(const std::string& name, std::string contents, bool json_lines) {
  if (json_lines) return parse_json_lines(contents, name);
  std::vector<Document> documents;
  if (!contents.empty()) documents.push_back({name, std::move(contents)});
  return documents;
}

std::string read_unpacked(const std::string& path) {
  std::string contents = burrow::read_text(path);
  const Compression compression = compression_of_name(path);
  return compression == Compression::none ? contents : unpacked(contents, compression, path);
}

std::vector<Document> read_directory(const std::string& source, std::vector<std::string>* binary) {
  std::vector<Document> documents;
  for (const auto& path : files_below(source)) {
    const std::string name = path.string();
    std::string contents = read_unpacked(name);
    if (contents.find('\0') == contents.npos) {
      std::ranges::move(to_documents(name, std::move(contents), is_json_lines(name)),
                        std::back_inserter(documents));
    } else if (binary != nullptr) {
      binary->push_back(name);
    }
  }
  return documents;
}

std::vector<Document> from_one_file(const std::string& name, std::string contents, bool json_lines) {
  if (const auto nul = contents.find('\0'); nul != contents.npos) {
    throw burrow::IoError(name + " is not text: byte " + std::to_string(nul) + " is NUL.");
  }
  return to_documents(name, std::move(contents), json_lines);
}

std::vector<Document> read_one_file(const std::string& path) {
  return from_one_file(path, read_unpacked(path), is_json_lines(path));
}

// Standard input has no name that says so: its first line decides.
bool starts_with_json_line(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  const auto value = nlohmann::json::parse(text.substr(0, text.find('\n')), nullptr, false);
  return value.is_object() && value.contains("text") && value["text"].is_string();
}

std::vector<Document> read_from_standard_input() {
  const std::string name = "Standard input";
  std::string contents = read_standard_input();
  const Compression compression = compression_of(contents);
  if (compression != Compression::none) contents = unpacked(contents, compression, name);
  const bool json_lines = starts_with_json_line(contents);
  return from_one_file(name, std::move(contents), json_lines);
}

}  // namespace

std::vector<Document> parse_json_lines(std::string_view lines, const std::string& name) {
  std::vector<Document> documents;
  for (std::size_t number = 1; !lines.empty(); ++number) {
    const auto line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    const std::string place = name + ":" + std::to_string(number);
    std::string text = text_field(line, place);
    if (!text.empty()) documents.push_back({place, std::move(text)});
  }
  return documents;
}

std::string read_standard_input() {
  std::string contents{std::istreambuf_iterator<char>{std::cin}, {}};
  if (std::cin.bad()) throw burrow::IoError("Standard input cannot be read to its end.");
  return contents;
}

std::vector<Document> read_documents(const std::string& source, std::vector<std::string>* binary) {
  std::error_code ignored;
  const bool is_input = source == "-";
  const bool is_directory = !is_input && fs::is_directory(source, ignored);
  auto documents = is_input       ? read_from_standard_input()
                   : is_directory ? read_directory(source, binary)
                                  : read_one_file(source);
  if (documents.empty()) {
    throw burrow::IoError((is_input ? "Standard input" : source) +
                          (is_directory ? " holds no text files." : " holds no text."));
  }
  return documents;
}

std::vector<std::string_view> texts(std::span<const Document> documents) {
  std::vector<std::string_view> views;
  for (const auto& document : documents) views.emplace_back(document.text);
  return views;
}

std::uint64_t total_bytes(std::span<const Document> documents) {
  std::uint64_t total = 0;
  for (const auto& document : documents) total += document.text.size();
  return total;
}

}  // namespace gopher
