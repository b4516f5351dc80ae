// What happens to a run when a rank is killed, at any moment, or stands still, or its loss is no number.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <map>
#include <span>

#include "tests/mpi/program/runs.hpp"

using burrow::Index;
using Catch::Contains;
using mpi_program::check_close;
using mpi_program::Place;
namespace fs = std::filesystem;

namespace {

/// A mesh, and how many ranks it is of.
struct Layout {
  int ranks;
  std::string mesh;
};

/// All meshes of up to four ranks.
std::vector<Layout> all_layouts() {
  std::vector<Layout> found;
  for (int ranks = 1; ranks <= 4; ++ranks)
    for (int pipeline = 1; pipeline <= ranks; ++pipeline)
      for (int tensor = 1; pipeline * tensor <= ranks; ++tensor)
        if (ranks % (pipeline * tensor) == 0)
          found.push_back({ranks, "data=" + std::to_string(ranks / pipeline / tensor) + ",pipeline=" +
                                      std::to_string(pipeline) + ",tensor=" + std::to_string(tensor)});
  return found;
}

/// How many ranks are killed; the environment's GOPHER_KILLS.
int kills() {
  const char* const number = std::getenv("GOPHER_KILLS");
  return number == nullptr ? 4 : std::atoi(number);
}

/// A number below `below`, another one in every run of the tests.
std::size_t draw(int number, std::uint64_t what, std::size_t below) {
  static const burrow::Key key{static_cast<std::uint64_t>(::time(nullptr))};
  return key.fold_in(static_cast<std::uint64_t>(number)).bits(what) % below;
}

/// So many steps of four blocks on 24 sequences. At this learning rate runs on other meshes, whose sums have
/// another order, stay together for a thousand steps; at 0.001 they part after 150.
std::string training(const std::string& run, int steps, const std::string& more) {
  return Place::training(run,
                         "--learning-rate 0.0001 --layers 4 --heads 4 --head-width 4 --batch-tokens 384 "
                         "--steps " +
                             std::to_string(steps) + " " + more);
}

/// A run that is killed again and again. It writes a checkpoint after every step.
class KilledRun {
 public:
  KilledRun(const Place& place, int steps) : place_{place}, steps_{steps} {}

  /// Goes on with a layout and kills one of its ranks. In half of all cases that is in the first moments,
  /// when ranks start and read what is there, else after their first new checkpoint.
  void kill_one(const Layout& layout, const std::string& more) {
    const int number = kills_++;
    const auto victim = draw(number, 0, static_cast<std::size_t>(layout.ranks));
    const bool early = draw(number, 1, 2) == 0;
    const std::string delay = "0." + std::to_string(1000 + draw(number, 2, early ? 600 : 900)).substr(1);
    const std::string beside = draw(number, 3, 4) == 0 ? " --no-asynchronous-checkpoints" : "";
    CAPTURE(number, layout.mesh, more, victim, early, delay, beside);
    const auto before = files().newest_checkpoint();
    const auto outcome = place_.shell(start(layout, more + beside) + kill(layout, victim, early, delay));
    INFO(outcome.text);
    check_resumed(outcome.text, before);
    const auto saved = files().checkpoints();
    for (const auto& checkpoint : saved) CHECK(checkpoint.damage == "");
    if (outcome.code == 0) return;  // it had ended before
    CHECK_THAT(outcome.text, Contains("process rank " + std::to_string(victim) + " "));
    const auto ended = outcome.text.rfind("ended after ");
    REQUIRE(ended != outcome.text.npos);
    CHECK(std::atoi(outcome.text.c_str() + ended + 12) <= 10);
    if (before) REQUIRE((!saved.empty() && saved.back().step >= before->step));
    count(layout, victim, outcome.text, saved.size());
  }

  /// Lets the run go on to its end.
  void finish(const Layout& layout, const std::string& more) {
    const auto before = files().newest_checkpoint();
    const auto outcome = place_.shell(start(layout, more));
    INFO(outcome.text);
    REQUIRE(outcome.code == 0);
    check_resumed(outcome.text, before);
  }

  /// What was killed when, and how far the end was from that of a run left alone, for those who ask for many.
  void tell(double apart) const {
    std::ostringstream text;
    text << "parameters and moments apart by at most " << apart << " of the largest of a tensor\n";
    for (const auto& [what, times] : counted_) text << what << ": " << times << "\n";
    if (kills() >= 100) WARN(text.str());
  }

 private:
  gopher::RunFiles files() const { return {place_ / "run"}; }

  std::string start(const Layout& layout, const std::string& more) const {
    const bool begun = fs::exists(files().configuration()) || fs::exists(files().metrics());
    return Place::command(layout.ranks) + " " +
           training("run", steps_,
                    "--checkpoint-every 1 --keep 2 " + std::string(begun ? "--resume" : "") + " --mesh " +
                        layout.mesh + more);
  }

  std::string kill(const Layout& layout, std::size_t victim, bool early, const std::string& delay) const {
    const auto newest = files().newest_checkpoint();
    const std::string ranks = "pgrep -P $launcher",
                      last = "ls run/checkpoints/*.safetensors 2> /dev/null | tail -n 1";
    const std::string old = newest ? "run/checkpoints/" + newest->path.filename().string() : "";
    return " & launcher=$!\nuntil [ $(" + ranks + " | wc -l) -ge " + std::to_string(layout.ranks) + " ]" +
           (early ? "" : " && [ \"$(" + last + ")\" != \"" + old + "\" ]") +
           "; do\nkill -0 $launcher || break; sleep 0.02; done\nsleep " + delay + "\nkill -9 $(" + ranks +
           " | sed -n '" + std::to_string(victim + 1) +
           "p')\nstarted=$(date +%s)\nwait $launcher\ncode=$?\n" +
           "echo \"ended after $(($(date +%s) - started)) s\"\nexit $code";
  }

  /// A run that came so far went on from the newest checkpoint that there was.
  void check_resumed(const std::string& text, const std::optional<gopher::SavedCheckpoint>& newest) const {
    const std::string words = "resumed after step ";
    CHECK_THAT(text, !Contains("damaged"));
    const auto said = text.find(words);
    if (said == text.npos) return;
    REQUIRE(newest);
    CHECK(std::atoi(text.c_str() + said + words.size()) == newest->step);
  }

  void count(const Layout& layout, std::size_t victim, const std::string& text, std::size_t whole) {
    ++counted_["kills"];
    ++counted_["on " + layout.mesh];
    counted_["of rank 0"] += victim == 0;
    counted_["before training had begun"] += text.find("/" + std::to_string(steps_)) == text.npos;
    std::size_t there = 0;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(place_ / "run/checkpoints", none))
      there += entry.path().extension() != ".parts" || gopher::is_abandoned_parts_folder(entry.path());
    counted_["with a checkpoint half written"] += there > whole;
  }

  const Place& place_;
  int steps_, kills_ = 0;
  std::map<std::string, int> counted_;
};

/// The float32 tensors of a checkpoint, put together from all its files' boxes, "name[0:64,128:256]".
std::map<std::string, std::vector<float>> tensors_of(const fs::path& checkpoint) {
  std::vector<burrow::SafetensorsFile> files;
  files.emplace_back(checkpoint);
  for (int part = 0; fs::exists(gopher::part_path(checkpoint, part)); ++part)
    files.emplace_back(gopher::part_path(checkpoint, part));
  std::map<std::string, burrow::TensorSlice> all;
  for (const auto& file : files)
    for (const auto& entry : file.entries()) {
      if (entry.dtype != burrow::stored_type<float>) continue;
      const auto bracket = std::min(entry.name.find('['), entry.name.size());
      auto& tensor = all[entry.name.substr(0, bracket)];
      tensor.shape.resize(entry.shape.size());
      std::istringstream box{entry.name.substr(bracket)};
      for (std::size_t i = 0; i < entry.shape.size(); ++i) {
        std::int64_t begin = 0, end = entry.shape[i];
        char mark = 0;
        if (bracket < entry.name.size()) box >> mark >> begin >> mark >> end;
        tensor.shape[i] = std::max(tensor.shape[i], end);
      }
    }
  const auto saved = gopher::open_checkpoint(checkpoint);
  std::map<std::string, std::vector<float>> values;
  for (auto& [name, tensor] : all) {
    tensor.name = name;
    tensor.extents = tensor.shape;
    tensor.begin.resize(tensor.shape.size());
    auto& whole = values[name];
    whole.resize(static_cast<std::size_t>(tensor.size()));
    saved.read(tensor, std::span{whole});
  }
  return values;
}

/// How far two runs' parameters and optimizer states after a step are apart, at most, in parts of the largest
/// value of each tensor.
double difference(const Place& place, const std::string& run, const std::string& reference, int step) {
  const auto saved = [&](const std::string& name) {
    return tensors_of(gopher::RunFiles{place / name}.checkpoint(step));
  };
  const auto found = saved(run), expected = saved(reference);
  CHECK(found.size() > 3 * 4 * 10);  // of parameters and two moments, of four blocks
  REQUIRE(found.size() == expected.size());
  double most = 0;
  for (const auto& [name, values] : expected) {
    double largest = 0, apart = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double value = values[i], other = found.at(name).at(i);
      largest = std::max(largest, std::abs(value));
      apart = std::max(apart, std::isfinite(other) ? std::abs(other - value) : HUGE_VAL);
    }
    if (apart > 0) most = std::max(most, apart / largest);
  }
  return most;
}

}  // namespace

TEST_CASE("a rank that is killed ends the others, and the run goes on on any mesh") {
  const Place place;
  const int steps = 100 + 8 * kills();
  REQUIRE(place.gopher(0, training("whole", steps, "--checkpoint-every 0")).code == 0);
  KilledRun run{place, steps};
  const auto layouts = all_layouts();
  for (int i = 0; i < kills(); ++i)
    run.kill_one(layouts[draw(i, 4, layouts.size())], " --zero " + std::to_string(draw(i, 5, 4)));
  run.finish({2, "data=2"}, "");
  const double apart = difference(place, "run", "whole", steps);
  run.tell(apart);
  check_close(place.numbers("run", "step", "loss"), place.numbers("whole", "step", "loss"), 1e-4);
  check_close(place.numbers("run", "evaluation", "loss"), place.numbers("whole", "evaluation", "loss"), 1e-4);
  CHECK(apart < 1e-2);
}

TEST_CASE("a rank that is killed changes no bit of a run that goes on on the same mesh") {
  const std::pair<const char*, const char*> ways[] = {{"data=2,pipeline=2", " --zero 2"},
                                                      {"data=4", " --zero 3"},
                                                      {"data=2,tensor=2", " --zero 0"},
                                                      {"pipeline=2,tensor=2", " --zero 1"}};
  for (const auto& [mesh, zero] : std::span{ways}.first(kills() < 16 ? 2 : 4)) {
    CAPTURE(mesh, zero);
    const Place place;
    const int times = std::max(1, kills() / 16), steps = 40 + 20 * times;
    const std::string whole =
        training("whole", steps, "--checkpoint-every 0 --mesh " + std::string(mesh) + zero);
    REQUIRE(place.gopher(4, whole).code == 0);
    KilledRun run{place, steps};
    for (int i = 0; i < times; ++i) run.kill_one({4, mesh}, zero);
    run.finish({4, mesh}, zero);
    CHECK(place.numbers("run", "step", "loss") == place.numbers("whole", "step", "loss"));
    CHECK(difference(place, "run", "whole", steps) == 0);
  }
}

TEST_CASE("a rank that stands still is named, and ends the run") {
  const Place place;
  const std::string victim = "$(pgrep -P $launcher | sed -n 2p)";
  const auto outcome = place.shell(  // it is ended here where nobody else does
      "BURROW_COLLECTIVE_TIMEOUT=2 " + Place::command(2) + " " +
      training("run", 1000000, "--checkpoint-every 0 --mesh data=2") +
      " & launcher=$!\nuntil grep -q '\"step\":20,' run/metrics.jsonl 2> /dev/null; do\n" +
      "kill -0 $launcher || break; sleep 0.02; done\nvictim=" + victim + "\nkill -STOP $victim\n" +
      "for i in $(seq 75); do kill -0 $launcher 2> /dev/null || break; sleep 0.2; done\n" +
      "kill -9 $victim 2> /dev/null\nwait $launcher");
  INFO(outcome.text);
  CHECK(outcome.code != 0);
  CHECK_THAT(outcome.text, Contains("rank 0 has waited 2 s in vain for rank 1 ["));
}

TEST_CASE("steps whose loss is no number are left out by all ranks, until there are too many") {
  for (const auto& [ranks, settings] : {std::pair{2, "--mesh data=2"},
                                        {4, "--mesh data=2,tensor=2 --zero 3"},
                                        {4, "--mesh data=2,pipeline=2 --zero 2"}}) {
    CAPTURE(settings);
    const Place place;
    const auto outcome = place.gopher(  // each step multiplies the parameters by 1 - 10 * 10
        ranks,
        Place::training("run", std::string(settings) +
                                   " --steps 200 --optimizer adamw --weight-decay 10 --learning-rate 10 "
                                   "--initial-learning-rate 10 --warmup-steps 0 --checkpoint-every 1"));
    INFO(outcome.text);
    CHECK(outcome.code != 0);
    CHECK_THAT(outcome.text,
               Contains("left the model as it was, since its loss or gradient was not finite") &&
                   Contains("gopher: the loss was not finite in 21 steps in a row") &&
                   Contains("The last checkpoint is intact"));
    CHECK(outcome.text.find("in a row") == outcome.text.rfind("in a row"));
    const auto steps = place.numbers("run", "step", "step"), tokens = place.numbers("run", "step", "tokens");
    CHECK(steps.size() > 20);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      CHECK(steps[i] == static_cast<double>(i + 1));
      CHECK(tokens[i] == 256 * steps[i]);
    }
    const auto newest = gopher::RunFiles{place / "run"}.newest_checkpoint();
    REQUIRE(newest);
    for (const auto& [name, values] : tensors_of(newest->path)) {
      CAPTURE(name);
      CHECK(std::ranges::all_of(values, [](float x) { return std::isfinite(x); }));
    }
  }
}
