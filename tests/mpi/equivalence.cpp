// Rows of the table that scripts/equivalence prints: 20 steps of a small Gopher on the ranks that mpirun has
// started, for every mesh of them and every way to train on it, against one rank. Ends with 1 where a loss is
// farther from that of one rank than the limit.
#include <cmath>
#include <cstdio>
#include <map>

#include "tests/mpi/gopher_training.hpp"
#include "tests/worse.hpp"

using namespace small_gopher;

namespace {

constexpr double limit = 1e-5;
constexpr int all_stages = 4;

/// Eight blocks and eight heads, so that each axis can have eight ranks.
constexpr gopher::ModelSize divisible{.layers = 8,
                                      .width = 16,
                                      .heads = 8,
                                      .head_width = 4,
                                      .feed_forward = 32,
                                      .vocabulary = vocabulary,
                                      .context = context};

Settings usual() {
  Settings settings;
  settings.batch = 16;
  settings.bucket_elements = 10000;
  settings.size = divisible;
  return settings;
}

using Losses = std::vector<double>;

double difference(const Losses& a, const Losses& b) {
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = worse(most, std::abs(a[i] - b[i]) / std::abs(b[i]));
  return most;
}

/// What one rank finds that adds the gradients of so many micro-batches one after another.
const Losses& alone(Index micro_batches, double clip) {
  static std::map<std::pair<Index, double>, Losses> known;
  auto& losses = known[{micro_batches, clip}];
  if (losses.empty()) {
    Settings settings = usual();
    settings.stage = 2;
    settings.micro_batches = micro_batches;
    settings.clip = clip;
    losses = train_whole<Whole>(Mesh{SelfCommunicator{}, {}}, settings).losses;
  }
  return losses;
}

/// All ways to train on one mesh.
class Row {
 public:
  explicit Row(const Mesh<distributed::World>& mesh) : mesh_{mesh} {
    const int pipeline = mesh.shape().pipeline;
    for (const bool accumulate : {false, true})
      for (const int chunks : {1, 2}) {
        const bool interleaves = pipeline > 1 && accumulate && pipeline * chunks <= divisible.layers;
        if (chunks > 1 && !interleaves) continue;
        for (const double clip : {0.0, 0.7}) {
          Settings settings = usual();
          settings.micro_batches = accumulate ? std::max(2, pipeline) : 1;
          settings.chunks = chunks;
          settings.clip = clip;
          all_of(settings);
        }
      }
  }

  void print() const {
    std::printf("| %d | `%s` ", mesh_.shape().ranks(), mesh_.shape().text().c_str());
    for (const double most : most_) most < 0 ? std::printf("| ") : std::printf("| %.1e ", most);
    std::printf("| %d of %d | ", as_first_, runs_);
    could_be_one_ > 0 ? std::printf("%d of %d |\n", as_one_, could_be_one_) : std::printf("|\n");
    std::fflush(stdout);
  }
  bool holds() const {
    return std::all_of(most_.begin(), most_.end(), [](double most) { return most <= limit; });
  }

 private:
  /// Every stage that divides something here, with and without rematerialisation.
  void all_of(Settings settings) {
    Losses first;
    const int stages = mesh_.shape().data > 1 ? all_stages : 1;
    for (settings.stage = 0; settings.stage < stages; ++settings.stage)
      for (const bool rematerialize : {false, true}) {
        settings.rematerialize = rematerialize;
        const Losses losses = small_gopher::train(mesh_, settings).losses;
        double& most = most_[static_cast<std::size_t>(settings.stage)];
        most = worse(most, difference(losses, alone(1, settings.clip)));
        if (first.empty()) first = losses;
        ++runs_;
        as_first_ += losses == first;
        if (mesh_.shape().tensor * mesh_.shape().pipeline > 1 || settings.micro_batches > 1) continue;
        ++could_be_one_;
        as_one_ += losses == alone(mesh_.shape().data, settings.clip);
      }
  }

  const Mesh<distributed::World>& mesh_;
  std::array<double, all_stages> most_{-1, -1, -1, -1};
  int runs_ = 0, as_first_ = 0;        // with the bits of the first stage without rematerialisation
  int could_be_one_ = 0, as_one_ = 0;  // with the bits of one rank
};

}  // namespace

int main(int argc, char** argv) {
  set_threads(1);
  const auto world = distributed::init(argc, argv);
  const int n = world.size();
  bool all_hold = true;
  for (int pipeline = 1; pipeline <= n; ++pipeline)
    for (int tensor = 1; pipeline * tensor <= n; ++tensor) {
      if (n % (pipeline * tensor) != 0 || pipeline > divisible.layers || tensor > divisible.heads) continue;
      const Mesh mesh{world, {n / pipeline / tensor, pipeline, tensor}};
      const Row row{mesh};
      if (world.rank() == 0) row.print();
      all_hold = all_hold && row.holds();
    }
  if (!all_hold && world.rank() == 0)
    std::fprintf(stderr, "a loss is farther than %g from that of one rank\n", limit);
  return all_hold ? 0 : 1;
}
