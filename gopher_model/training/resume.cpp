#include "gopher_model/training/resume.hpp"

namespace gopher {
namespace {

void pass_over_damaged(const RunFiles& run, const std::optional<SavedCheckpoint>& newest,
                       ProgressLine& progress) {
  for (const SavedCheckpoint& saved : run.checkpoints()) {
    if (saved.damage.empty() || (newest && saved.step < newest->step)) continue;
    if (!newest) throw burrow::IoError(saved.damage + "; the run has no whole checkpoint to resume from");
    progress.message("passed over a damaged checkpoint: " + saved.damage);
  }
}

// The tokenizer decides the vocabulary, and is compared by itself.
bool same_model(ModelSize asked, const ModelSize& saved) {
  asked.vocabulary = saved.vocabulary;
  return asked == saved;
}

}  // namespace

std::optional<ResumePoint> find_resume_point(const RunConfiguration& c, const RunFiles& run,
                                             ProgressLine& progress) {
  const auto newest = run.newest_checkpoint();
  pass_over_damaged(run, newest, progress);
  if (!newest) return {};
  const ResumePoint point = resume_point(run, newest->step);
  const std::string path = point.path.string();
  if (!same_model(c.size, point.saved.size) || point.saved.precision != c.precision) {
    throw ConfigError(
        path + ": this checkpoint is of another model size or precision than the configuration asks for.");
  }
  if (point.saved.identity.seed != c.seed) {
    throw ConfigError(path + ": this run was started with the seed " +
                      std::to_string(point.saved.identity.seed) + ", so it cannot go on with the seed " +
                      std::to_string(c.seed) + ".");
  }
  return point;
}

ResumePoint resume_point(const RunFiles& run, Index step) {
  const auto path = run.checkpoint(step);
  return {path, describe_checkpoint(burrow::SafetensorsFile{path})};
}

void require_same_corpus(const ResumePoint& point, const RunIdentity& corpus, const RunFiles& run) {
  const RunIdentity& saved = point.saved.identity;
  if (corpus.tokenizer != saved.tokenizer) {
    throw ConfigError(run.tokenizer().string() + " is not the tokenizer that " + point.path.string() +
                      " was trained with; put that one back, or start another run.");
  }
  if (corpus.text != saved.text) {
    throw ConfigError("The text is not the one that " + point.path.string() +
                      " was trained on: it has changed, or --data names another; put that one back, or start "
                      "another run.");
  }
}

}  // namespace gopher
