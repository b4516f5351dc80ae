// Writes checkpoints in a thread of its own, while the ranks go on: each its part and then, when all parts
// are on disk, rank 0 the manifest. That thread exchanges nothing with other ranks. When all parts are there
// the ranks learn from what they exchange anyway after a step.
//
//   writer.start(content);                         // all ranks
//   ... a step ...
//   const double own = writer.writing() ? 1 : 0;   // summed over the ranks: parts that are being written
//   writer.advance(world.all_reduce(own) == 0);
//   ... more steps ...
//   writer.finish();                               // all ranks
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <map>
#include <utility>

#include <burrow/distributed/communicator.hpp>

#include "gopher_model/training/checkpoint_files.hpp"

namespace gopher {

/// What is written of a checkpoint. The bytes that entries point to stay as they are until it is on disk.
struct CheckpointContent {
  std::filesystem::path path;
  std::vector<burrow::TensorEntry> own;     ///< of this rank
  std::vector<burrow::TensorEntry> common;  ///< the same on all ranks; written once
  std::map<std::string, std::string> metadata;
};

/// Writes one checkpoint at a time. It is there, whole, from the moment at which its last file is renamed
/// into place; until then a reader finds the one before. What goes wrong in the thread (IoError) is thrown by
/// the next call, and by all after it.
template <burrow::Communicator C>
class CheckpointWriter {
 public:
  /// `committed` is called after each checkpoint, in that thread, on rank 0.
  explicit CheckpointWriter(C world, std::function<void()> committed = {})
      : world_{std::move(world)}, committed_{std::move(committed)} {}
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Begins to write; all ranks call it. Throws Error where the checkpoint before is not finished, IoError
  /// where the folder of the parts cannot be made.
  void start(CheckpointContent content) {
    if (phase_ != Phase::idle) throw burrow::Error("CheckpointWriter: the checkpoint before is not finished");
    content_ = std::move(content);
    if (!alone() && leads()) prepare_parts_folder(content_.path);
    world_.barrier();
    phase_ = Phase::part;
    run([this] { write_part(); });
  }

  /// Whether a checkpoint is on its way, as far as this rank knows.
  bool busy() const { return phase_ != Phase::idle; }
  /// Whether this rank's part is still being written.
  bool writing() const { return phase_ == Phase::part && !ended(); }

  /// Goes on: `all_written` says that no rank is writing its part any more. All ranks call it with the same
  /// value, or none does.
  void advance(bool all_written) {
    if (phase_ == Phase::part && all_written)
      commit();
    else if (phase_ == Phase::manifest && ended())
      end();
  }

  /// Waits until the checkpoint is on disk, as far as this rank has to do with it. All ranks call it.
  void finish() {
    if (phase_ == Phase::part) {
      running_.get();
      world_.barrier();
      commit();
    }
    if (phase_ == Phase::manifest) {
      running_.get();
      end();
    }
  }

 private:
  enum class Phase { idle, part, manifest };

  bool alone() const { return world_.size() == 1; }
  bool leads() const { return world_.rank() == 0; }

  template <class Work>
  void run(Work work) {
    running_ = std::async(std::launch::async, std::move(work)).share();
  }
  /// Whether the thread has; throws what it threw.
  bool ended() const {
    if (running_.wait_for(std::chrono::seconds{0}) != std::future_status::ready) return false;
    running_.get();
    return true;
  }

  void write_part() {
    if (!alone())
      return burrow::write_safetensors(part_path(content_.path, world_.rank()), content_.own,
                                       part_metadata(content_.metadata, world_.rank(), world_.size()));
    content_.own.insert(content_.own.end(), content_.common.begin(), content_.common.end());
    burrow::write_safetensors(content_.path, content_.own, content_.metadata);
    if (committed_) committed_();
  }
  void write_manifest() {
    content_.metadata[std::string(parts_key)] = std::to_string(world_.size());
    burrow::write_safetensors(content_.path, content_.common, content_.metadata);
    if (committed_) committed_();
  }

  void commit() {
    if (alone() || !leads()) return end();
    phase_ = Phase::manifest;
    run([this] { write_manifest(); });
  }
  void end() {
    phase_ = Phase::idle;
    content_ = {};
  }

  C world_;
  std::function<void()> committed_;
  CheckpointContent content_;
  Phase phase_ = Phase::idle;
  std::shared_future<void> running_;  // last: its end waits for the thread, which uses the others
};

}  // namespace gopher
