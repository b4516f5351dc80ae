// The directory of a training run: its files' names, its checkpoints, and its lock against a second process.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <burrow/core/shape.hpp>

namespace gopher {

using burrow::Index;

/// A checkpoint file of a run.
struct SavedCheckpoint {
  Index step = 0;
  std::filesystem::path path;
  std::string damage;  ///< why the file, or a part that it names, is not a whole safetensors file; else empty
};

/// Where the files of the run in directory `root` stand. Only looks: it makes and changes nothing.
struct RunFiles {
  std::filesystem::path root;

  std::filesystem::path configuration() const;         ///< configuration.toml
  std::filesystem::path metrics() const;               ///< metrics.jsonl
  std::filesystem::path tokenizer() const;             ///< tokenizer.model
  std::filesystem::path training_tokens() const;       ///< training.tokens
  std::filesystem::path held_out_tokens() const;       ///< held_out.tokens
  std::filesystem::path machine() const;               ///< machine.json
  std::filesystem::path checkpoint(Index step) const;  ///< checkpoints/step-00001234.safetensors
  std::filesystem::path samples(Index step) const;     ///< samples/step-00001234.txt

  /// The checkpoints, earliest step first, with damaged ones marked. Throws IoError if the directory exists
  /// but cannot be read.
  std::vector<SavedCheckpoint> checkpoints() const;

  /// The latest checkpoint that is not damaged.
  std::optional<SavedCheckpoint> newest_checkpoint() const;
};

/// The exclusive lock of a file, held until the object ends. The file stays: it holds the process's number.
class FileLock {
 public:
  /// Makes the file and locks it. Throws IoError if another process holds the lock or the system fails.
  explicit FileLock(const std::filesystem::path& path);
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

  /// False where the file system has no locks.
  bool held() const { return held_; }

 private:
  int descriptor_ = -1;
  bool held_ = false;
};

/// A run's directory in use by this process, which holds RUN/lock until the object ends.
class RunDirectory : public RunFiles {
 public:
  /// Makes and locks the directory, and removes what a killed process left half written. Throws ConfigError
  /// if it holds a run and `resume` is false, or holds none and `resume` is true; IoError if another process
  /// uses it or the system fails.
  RunDirectory(std::filesystem::path run, bool resume);
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  /// False where the file system has no locks: then nothing keeps a second process away.
  bool locked() const { return lock_.held(); }

  /// Removes all checkpoints older than the `keep` newest whole ones; 0 keeps all. The newest whole one thus
  /// always stays. Throws IoError if one cannot be removed.
  void prune(Index keep) const;

  /// Removes a directory that was made here and in which no run has begun: lock, tokenizer, tokens and all.
  /// Does nothing to any other.
  void discard() const;

  /// Writes RUN/`name` ("configuration.toml", "samples/step-00000250.txt"), wholly or not at all. Throws
  /// IoError.
  void write_text(const std::string& name, std::string_view text) const;

 private:
  bool made_;  // the directory was not there before
  FileLock lock_;
};

}  // namespace gopher
