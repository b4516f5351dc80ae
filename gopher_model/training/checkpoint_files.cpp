#include "gopher_model/training/checkpoint_files.hpp"

#include <charconv>
#include <map>
#include <system_error>

namespace gopher {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view file_suffix = ".safetensors", folder_suffix = ".parts";

// The number of parts that a manifest names; 0 for a file that has all tensors itself.
int parts_of(const burrow::SafetensorsFile& manifest) {
  const auto found = manifest.metadata().find(std::string(parts_key));
  if (found == manifest.metadata().end()) return 0;
  int parts = 0;
  const std::string& text = found->second;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parts);
  if (error != std::errc{} || end != text.data() + text.size() || parts < 1)
    throw burrow::IoError(manifest.path().string() + ": metadata 'parts' is not a number: " + text);
  return parts;
}

void require_part(const burrow::SafetensorsFile& part, const burrow::SafetensorsFile& manifest, int number,
                  int parts) {
  if (part.metadata() != part_metadata(manifest.metadata(), number, parts))
    throw burrow::IoError(part.path().string() + ": is not part " + std::to_string(number) + " of " +
                          std::to_string(parts) + " of " + manifest.path().string());
}

}  // namespace

fs::path parts_folder(const fs::path& checkpoint) {
  return fs::path{checkpoint}.replace_extension(folder_suffix);
}

fs::path part_path(const fs::path& checkpoint, int part) {
  const std::string digits = std::to_string(part);
  return parts_folder(checkpoint) /
         (std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits + std::string(file_suffix));
}

std::map<std::string, std::string> part_metadata(const std::map<std::string, std::string>& manifest, int part,
                                                 int parts) {
  const auto step = manifest.find("step");
  return {{"step", step == manifest.end() ? "" : step->second},
          {"part", std::to_string(part)},
          {std::string(parts_key), std::to_string(parts)}};
}

burrow::SlicedTensors open_checkpoint(const fs::path& checkpoint) {
  std::vector<burrow::SafetensorsFile> files;
  files.emplace_back(checkpoint);
  const int parts = parts_of(files.front());
  for (int part = 0; part < parts; ++part) {
    files.emplace_back(part_path(checkpoint, part));
    require_part(files.back(), files.front(), part, parts);
  }
  return burrow::SlicedTensors{std::move(files)};
}

std::string checkpoint_damage(const fs::path& checkpoint) {
  try {
    open_checkpoint(checkpoint);
    return "";
  } catch (const burrow::IoError& error) {
    return error.what();
  }
}

void prepare_parts_folder(const fs::path& checkpoint) {
  remove_checkpoint(checkpoint);
  std::error_code error;
  fs::create_directories(parts_folder(checkpoint), error);
  if (error)
    throw burrow::IoError(parts_folder(checkpoint).string() + " cannot be made: " + error.message() + ".");
}

void remove_checkpoint(const fs::path& checkpoint) {
  std::error_code error;
  fs::remove(checkpoint, error);
  if (!error) fs::remove_all(parts_folder(checkpoint), error);
  if (error) throw burrow::IoError(checkpoint.string() + " cannot be removed: " + error.message() + ".");
}

bool is_abandoned_parts_folder(const fs::path& folder) {
  if (folder.extension() != folder_suffix) return false;
  std::error_code unknown;
  return fs::is_directory(folder, unknown) &&
         !fs::exists(fs::path{folder}.replace_extension(file_suffix), unknown);
}

}  // namespace gopher
