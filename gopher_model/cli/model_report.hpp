// What `gopher info` says about a model, as a table or as JSON.
#pragma once

#include <string>

#include "gopher_model/training/run_configuration.hpp"

namespace gopher {

/// The name of the preset that the model is, with all its extents; empty if there is none.
std::string preset_of(const RunConfiguration& configuration);

/// Parameters by part, bytes, FLOPs of the run's tokens in both accountings, for people.
std::string report_text(const RunConfiguration& configuration);

/// The same as one JSON object.
std::string report_json(const RunConfiguration& configuration);

/// One line for each preset.
std::string presets_text();

/// All presets as a JSON array of such objects.
std::string presets_json();

}  // namespace gopher
