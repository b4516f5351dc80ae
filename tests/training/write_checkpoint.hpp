// A checkpoint that is waited for, as a run writes its last one.
#pragma once

#include "gopher_model/training/checkpoint.hpp"

namespace gopher {

/// Writes a checkpoint of a model and its optimizer. All ranks of `world` call it.
template <class Model, class Optimizer, burrow::Communicator C>
void write_checkpoint(const std::filesystem::path& path, const Model& model, Optimizer& optimizer,
                      const std::string& tokenizer, std::map<std::string, std::string> metadata,
                      const C& world) {
  CheckpointWriter writer{world};
  writer.start(checkpoint_content(path, model, optimizer, tokenizer, std::move(metadata), nullptr));
  writer.finish();
}

}  // namespace gopher
