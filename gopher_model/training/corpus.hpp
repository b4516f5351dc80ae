// The text of a run, ready for training: tokenizer, training tokens, held-out windows, and the baseline.
#pragma once

#include <burrow/core/key.hpp>

#include "gopher_model/data/loader.hpp"
#include "gopher_model/tokenizer/tokenizer.hpp"
#include "gopher_model/training/progress.hpp"
#include "gopher_model/training/run_configuration.hpp"
#include "gopher_model/training/run_directory.hpp"
#include "gopher_model/training/run_identity.hpp"

namespace gopher {

struct ResumePoint;

/// What the random numbers of a run are for; each purpose has a key of its own.
enum class Purpose : std::uint64_t { split = 1, data, parameters, rounding, sampling };

/// The key of one purpose in a run of that seed.
inline burrow::Key key_for(Index seed, Purpose purpose) {
  return burrow::Key{static_cast<std::uint64_t>(seed)}.fold_in(static_cast<std::uint64_t>(purpose));
}

struct Corpus {
  Tokenizer tokenizer;
  Loader training;
  EvaluationWindows held_out;
  double bytes_per_token;         ///< of the training text
  double baseline_bits_per_byte;  ///< of the held-out text, under an order-2 byte model of the training text
  Index training_documents;
  Index held_out_documents;
  RunIdentity identity;
};

/// Reads the text (this project's own where the configuration names none), divides it, and trains the
/// tokenizer or, in a resumed run, reads the run's. Tokenizer and tokens are left in the run's directory; a
/// resumed run encodes nothing again, and where standard input was its text it goes on with the tokens that
/// it kept. `progress` is told what was left out. Throws burrow::Error in one sentence, among others where
/// the run resumes from `point` and the text is another than before.
Corpus prepare_corpus(const RunConfiguration& configuration, const RunDirectory& run,
                      const ResumePoint* point, ProgressLine& progress);

/// The corpus that rank 0 has prepared, for the other ranks: from the tokenizer and the tokens in the run's
/// directory, without what only rank 0 tells of. Throws IoError where this rank cannot read them.
Corpus prepared_corpus(const RunConfiguration& configuration, const RunFiles& run);

}  // namespace gopher
