#include "gopher_model/training/run_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

#include <burrow/core/error.hpp>
#include <burrow/io/file.hpp>

#include "gopher_model/training/checkpoint_files.hpp"
#include "gopher_model/training/run_configuration.hpp"

namespace gopher {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view step_prefix = "step-";
constexpr std::string_view checkpoint_suffix = ".safetensors";
constexpr std::string_view metrics_name = "metrics.jsonl";
constexpr std::string_view tokenizer_name = "tokenizer.model";
constexpr std::string_view training_tokens_name = "training.tokens";
constexpr std::string_view held_out_tokens_name = "held_out.tokens";
constexpr std::string_view machine_name = "machine.json";
constexpr std::string_view lock_name = "lock";

[[noreturn]] void fail(const fs::path& path, const std::string& what, const std::error_code& error) {
  throw burrow::IoError(path.string() + " " + what + ": " + error.message() + ".");
}

// "step-00001234" + suffix; more digits where the step has more than eight.
std::string step_name(Index step, std::string_view suffix) {
  const std::string digits = std::to_string(step);
  return std::string{step_prefix} + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits +
         std::string{suffix};
}

// The step of a checkpoint's name; nothing for names of other files.
std::optional<Index> step_of(const std::string& name) {
  Index step = 0;
  const std::size_t start = std::min(step_prefix.size(), name.size());
  std::from_chars(name.data() + start, name.data() + name.size(), step);
  return name == step_name(step, checkpoint_suffix) ? std::optional{step} : std::nullopt;
}

std::vector<fs::path> entries(const fs::path& directory) {
  std::vector<fs::path> paths;
  std::error_code error;
  fs::directory_iterator entry{directory, error};
  if (error == std::errc::no_such_file_or_directory) return paths;
  while (!error && entry != fs::directory_iterator{}) {
    paths.push_back(entry->path());
    entry.increment(error);
  }
  if (error) fail(directory, "cannot be read", error);
  return paths;
}

// Latest first, with `damage` still unknown.
std::vector<SavedCheckpoint> checkpoint_files(const RunFiles& files) {
  std::vector<SavedCheckpoint> found;
  for (const fs::path& path : entries(files.root / "checkpoints")) {
    if (const auto step = step_of(path.filename().string())) found.push_back({*step, path, ""});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
  return found;
}

void make_directory(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(path, "cannot be made a directory", error);
}

bool is_there(const fs::path& path) {
  std::error_code error;
  const bool found = fs::exists(path, error);
  if (error) fail(path, "cannot be examined", error);
  return found;
}

bool holds_run(const RunFiles& files) {
  return is_there(files.configuration()) || is_there(files.metrics()) || !checkpoint_files(files).empty();
}

void require_state(const RunFiles& files, bool resume) {
  if (is_there(files.root) && !fs::is_directory(files.root)) {
    throw burrow::IoError(files.root.string() + " is not a directory; pass another --run.");
  }
  const bool used = holds_run(files);
  if (used && !resume) {
    throw burrow::ConfigError(files.root.string() +
                              " already holds a run; pass --resume to go on with it, or another --run.");
  }
  if (!used && resume) {
    throw burrow::ConfigError(files.root.string() +
                              " holds no run to resume; leave out --resume to start one.");
  }
}

// A file of a run that was written aside, to be renamed, by a process that was killed in between.
bool is_leftover(std::string_view name) {
  constexpr std::array<std::string_view, 7> ours{
      step_prefix,          configuration_file_name, metrics_name, tokenizer_name,
      training_tokens_name, held_out_tokens_name,    machine_name};
  const bool aside = (name.starts_with('.') && name.ends_with(".tmp")) || name.find(".partial-") != name.npos;
  if (name.starts_with('.')) name.remove_prefix(1);
  return aside && std::any_of(ours.begin(), ours.end(), [&](auto start) { return name.starts_with(start); });
}

void remove_leftovers(const fs::path& directory) {
  for (const fs::path& path : entries(directory)) {
    std::error_code ignored;
    if (is_leftover(path.filename().string())) fs::remove(path, ignored);
    if (step_of(path.stem().string() + std::string{checkpoint_suffix}) && is_abandoned_parts_folder(path))
      fs::remove_all(path, ignored);
  }
}

// Where the lock of a directory stands that is fit for such a run.
fs::path prepared_lock(const RunFiles& files, bool resume) {
  require_state(files, resume);
  make_directory(files.root);
  return files.root / lock_name;
}

// The number of the process that a lock's file names, as " (process 1234)"; empty if it names none.
std::string owner_of(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t size = ::pread(descriptor, text.data(), text.size(), 0);
  Index process = 0;
  if (size > 0) std::from_chars(text.data(), text.data() + size, process);
  return process > 0 ? " (process " + std::to_string(process) + ")" : "";
}

}  // namespace

fs::path RunFiles::configuration() const { return root / configuration_file_name; }
fs::path RunFiles::metrics() const { return root / metrics_name; }
fs::path RunFiles::tokenizer() const { return root / tokenizer_name; }
fs::path RunFiles::training_tokens() const { return root / training_tokens_name; }
fs::path RunFiles::held_out_tokens() const { return root / held_out_tokens_name; }
fs::path RunFiles::machine() const { return root / machine_name; }
fs::path RunFiles::checkpoint(Index step) const {
  return root / "checkpoints" / step_name(step, checkpoint_suffix);
}
fs::path RunFiles::samples(Index step) const { return root / "samples" / step_name(step, ".txt"); }

std::vector<SavedCheckpoint> RunFiles::checkpoints() const {
  auto found = checkpoint_files(*this);
  for (SavedCheckpoint& saved : found) saved.damage = checkpoint_damage(saved.path);
  std::reverse(found.begin(), found.end());
  return found;
}

std::optional<SavedCheckpoint> RunFiles::newest_checkpoint() const {
  for (const SavedCheckpoint& saved : checkpoint_files(*this)) {
    if (checkpoint_damage(saved.path).empty()) return saved;
  }
  return {};
}

FileLock::FileLock(const fs::path& path)
    : descriptor_{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)} {
  if (descriptor_ < 0) fail(path, "cannot be opened", std::error_code(errno, std::generic_category()));
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) {
    held_ = true;
    struct stat status {};
    if (::fstat(descriptor_, &status) == 0 && status.st_nlink == 0) {
      ::close(std::exchange(descriptor_, -1));
      throw burrow::IoError(path.string() + " was removed by a run that could not start; try again.");
    }
    const std::string process = std::to_string(::getpid()) + "\n";
    [[maybe_unused]] const bool named =
        ::ftruncate(descriptor_, 0) == 0 && ::pwrite(descriptor_, process.data(), process.size(), 0) > 0;
    return;
  }
  const std::error_code error(errno, std::generic_category());
  const std::string owner = owner_of(descriptor_);
  if (error == std::errc::function_not_supported || error == std::errc::operation_not_supported) return;
  ::close(std::exchange(descriptor_, -1));
  if (error != std::errc::operation_would_block) fail(path, "cannot be locked", error);
  throw burrow::IoError(path.string() + " is locked: another process" + owner +
                        " uses this directory; wait for it to end, or pass another --run.");
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

RunDirectory::RunDirectory(fs::path run, bool resume)
    : RunFiles{std::move(run)}, made_{!is_there(root)}, lock_{prepared_lock(*this, resume)} {
  require_state(*this, resume);  // again: a run may have come and gone before the lock was ours
  make_directory(root / "checkpoints");
  for (const fs::path& directory : {root, root / "checkpoints", root / "samples"})
    remove_leftovers(directory);
}

void RunDirectory::prune(Index keep) const {
  if (keep <= 0) return;
  for (const SavedCheckpoint& saved : checkpoint_files(*this)) {
    if (keep > 0) {
      if (checkpoint_damage(saved.path).empty()) --keep;
      continue;
    }
    remove_checkpoint(saved.path);
  }
}

void RunDirectory::discard() const {
  if (!made_ || holds_run(*this)) return;
  std::error_code ignored;
  for (const auto& path :
       {tokenizer(), training_tokens(), held_out_tokens(), root / "checkpoints", root / lock_name, root})
    fs::remove(path, ignored);
}

void RunDirectory::write_text(const std::string& name, std::string_view text) const {
  const fs::path path = root / name;
  make_directory(path.parent_path());
  burrow::write_atomically(path, text);
}

}  // namespace gopher
