// The files of a checkpoint. One process writes one safetensors file. Several write a part each, in a folder
// beside it; the file then is the manifest: it names how many parts there are, and is written when they are
// all on disk.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <burrow/io/sliced_tensors.hpp>

namespace gopher {

/// What the metadata of a manifest and of its parts call the number of parts.
inline constexpr std::string_view parts_key = "parts";

/// Where the parts of a checkpoint stand: "step-00000010.parts" beside "step-00000010.safetensors".
std::filesystem::path parts_folder(const std::filesystem::path& checkpoint);

/// The file of one part: "0003.safetensors" in that folder.
std::filesystem::path part_path(const std::filesystem::path& checkpoint, int part);

/// The metadata of a part: whose it is, and which.
std::map<std::string, std::string> part_metadata(const std::map<std::string, std::string>& manifest, int part,
                                                 int parts);

/// All tensors of a checkpoint of either kind. Throws IoError where its file or a part of it is missing, not
/// whole, or of another checkpoint.
burrow::SlicedTensors open_checkpoint(const std::filesystem::path& checkpoint);

/// Why a checkpoint cannot be opened; empty where it can.
std::string checkpoint_damage(const std::filesystem::path& checkpoint);

/// Makes the empty folder for the parts of a checkpoint that is to be written, and removes what stands in its
/// place. Throws IoError.
void prepare_parts_folder(const std::filesystem::path& checkpoint);

/// Removes a checkpoint, the manifest before the parts. Throws IoError.
void remove_checkpoint(const std::filesystem::path& checkpoint);

/// Whether the folder has parts of a checkpoint whose manifest is not there, as a killed run leaves them.
bool is_abandoned_parts_folder(const std::filesystem::path& folder);

}  // namespace gopher
