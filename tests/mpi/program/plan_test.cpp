// What gopher plan says of a run's messages and of its memory is what the run measures, to the call and to
// the byte.
#include "tests/mpi/program/runs.hpp"

#include "gopher_model/training/plan.hpp"
#include "gopher_model/training/run_fields.hpp"

using burrow::Index;
using mpi_program::Place;

namespace {

constexpr Index steps = 2;
int runs = 0;  // made so far, which have a name each

/// Heads, columns and layers that no two ranks can divide evenly.
const std::string model =
    " --layers 5 --heads 3 --head-width 6 --feed-forward 33 --steps 2 --width 16"
    " --vocabulary 320 --context 16";

/// The configuration that a command line of train gives.
gopher::RunConfiguration configuration_of(const std::string& line) {
  gopher::RunConfiguration c;
  std::istringstream words{line};
  for (std::string name, value; words >> name;) {
    std::string key = name.substr(2);
    std::replace(key.begin(), key.end(), '-', '_');
    const gopher::Field* const field = gopher::find_field(key);
    REQUIRE(field != nullptr);
    if (std::holds_alternative<gopher::FlagRule>(field->rule)) {
      field->write(c, gopher::Value{true});
      continue;
    }
    words >> value;
    field->write(c, gopher::parsed(field->rule, value, name));
  }
  return c;
}

void check_messages(const nlohmann::json& costs, const gopher::MessagePlan& planned) {
  const burrow::PlannedTraffic all = planned.together();
  for (std::size_t i = 0; i < burrow::collective_count; ++i) {
    const auto kind = static_cast<burrow::Collective>(i);
    const std::string name = burrow::name_of(kind);
    const auto measured = [&](const char* what) {
      return costs.at("sent").contains(name) ? costs.at("sent").at(name).at(what).get<Index>() : 0;
    };
    CAPTURE(name);
    CHECK(measured("calls") == steps * all[kind].calls);
    CHECK(measured("bytes") == steps * all[kind].bytes);
  }
}

/// The most of a category on one rank, and what all have together, against the plans of all ranks.
void check_memory(const nlohmann::json& costs, const gopher::RunConfiguration& c,
                  const gopher::Layout& layout) {
  gopher::MemoryPlan most, all;
  for (int d = 0; d < layout.mesh.data; ++d)
    for (int s = 0; s < layout.mesh.pipeline; ++s)
      for (int t = 0; t < layout.mesh.tensor; ++t) {
        const auto one = gopher::memory_of_rank(c, layout, d, s, t);
        for (Index gopher::MemoryPlan::*const part :
             {&gopher::MemoryPlan::parameters, &gopher::MemoryPlan::gradients, &gopher::MemoryPlan::master,
              &gopher::MemoryPlan::moments, &gopher::MemoryPlan::checkpoint_copy}) {
          most.*part = std::max(most.*part, one.*part);
          all.*part += one.*part;
        }
      }
  const auto check = [](const nlohmann::json& measured, const gopher::MemoryPlan& planned) {
    INFO(measured.dump());
    gopher::MemoryPlan found;
    for (const auto& [name, bytes] : measured.items())
      (name == "parameters"                ? found.parameters
       : name == "gradients"               ? found.gradients
       : name == "checkpoint_copy"         ? found.checkpoint_copy
       : name.ends_with("parameters_fp32") ? found.master
                                           : found.moments) += bytes.get<Index>();
    CHECK(found.parameters == planned.parameters);
    CHECK(found.gradients == planned.gradients);
    CHECK(found.checkpoint_copy == planned.checkpoint_copy);
    CHECK(found.master == planned.master);
    CHECK(found.moments == planned.moments);
  };
  check(costs.at("memory"), most);
  check(costs.at("memory_of_all_ranks"), all);
}

/// The most that passes have at once on a rank: activations, and where it is made for each step the gradient
/// that is divided among the data ranks then. In a pipeline it depends on time which gradients of hidden
/// values are still on their way.
void check_passes(const nlohmann::json& costs, const gopher::RunConfiguration& c,
                  const gopher::Layout& layout) {
  const bool staged = layout.mesh.pipeline > 1;
  const bool fresh = layout.mesh.data > 1 && (layout.zero == 2 || (layout.zero == 3 && staged));
  Index least = 0, most = 0;
  for (int s = 0; s < layout.mesh.pipeline; ++s)
    for (int t = 0; t < layout.mesh.tensor; ++t) {
      const auto memory = gopher::memory_of_rank(c, layout, 0, s, t);
      const Index gradient = fresh ? 4 * gopher::rank_parameters(c, layout, s, t).all() : 0;
      const Index exact =
          memory.activations + (fresh ? burrow::detail::HostPool::bytes_of_block(gradient) : 0);
      least = std::max(least, exact);
      most = std::max(most, exact + memory.sending);
    }
  const Index passes = costs.at("passes").get<Index>();
  CHECK(passes >= least);
  CHECK(passes <= most);
}

/// A run against its plan.
void check_plan(const Place& place, const std::string& settings) {
  CAPTURE(settings);
  const auto unless = [&](const std::string& name, const std::string& value) {
    return settings.find(name) == settings.npos ? " " + name + " " + value : "";
  };
  const std::string line = settings + model + unless("--micro-batch", "2") + unless("--batch-tokens", "256");
  const auto c = configuration_of(line);
  const burrow::MeshShape mesh = burrow::parse_mesh(c.mesh);
  const gopher::Layout layout = gopher::layout_of(c, mesh);
  const std::string run = "run" + std::to_string(++runs);
  place.train(mesh.ranks(), run, line);
  const auto costs = place.records(run, "costs").at(0);
  CHECK(costs.at("steps") == steps);
  check_messages(costs, gopher::plan(c, layout, gopher::machine_called("h100")).messages);
  check_memory(costs, c, layout);
  check_passes(costs, c, layout);
}

}  // namespace

TEST_CASE("a run sends and keeps what its plan says") {
  const Place place;
  for (const char* const settings :
       {"--mesh data=3 --zero 1 --rematerialize none --micro-batch 1 --batch-tokens 240",
        "--mesh data=4 --zero 3 --rematerialize every=2", "--mesh data=4 --zero 2 --optimizer sgd",
        "--mesh data=2,tensor=2 --zero 0 --rematerialize none",
        "--mesh data=2,tensor=2 --zero 1 --clip 0 --precision bf16-master",
        "--mesh data=2,tensor=2 --zero 2 --rematerialize block",
        "--mesh data=2,tensor=2 --zero 3 --rematerialize every=2 --micro-batch 4 --batch-tokens 192",
        "--mesh data=2,tensor=2 --zero 3 --sequence-parallel",
        "--mesh tensor=2 --sequence-parallel --rematerialize none",
        "--mesh tensor=2 --sequence-parallel --rematerialize block --precision mixed-bf16",
        "--mesh data=2,pipeline=2 --zero 0 --rematerialize block",
        "--mesh data=2,pipeline=2 --zero 1 --checkpoint-every 0",
        "--mesh data=2,pipeline=2 --zero 2 --rematerialize every=2", "--mesh data=2,pipeline=2 --zero 3",
        "--mesh data=2,pipeline=2 --zero 3 --chunks 2 --rematerialize block",
        "--mesh pipeline=2,tensor=2 --rematerialize none --precision bf16-stochastic",
        "--mesh pipeline=2,tensor=2 --chunks 2 --sequence-parallel"})
    check_plan(place, settings);
}

TEST_CASE("what the system counts for a rank grows as its plan does, within a fiftieth") {
  const Place place;
  const std::string size =  // larger than what the machine's speed was measured with
      " --width 512 --heads 8 --head-width 64 --feed-forward 2048 --vocabulary 320 --context 64"
      " --batch-tokens 256 --micro-batch 2 --steps 2 --checkpoint-every 0";
  for (const std::string mesh : {"data=2 --zero 1", "data=2 --zero 3"}) {
    CAPTURE(mesh);
    const auto of_layers = [&](const std::string& layers) {
      const std::string line = "--mesh " + mesh + size + " --layers " + layers;
      const std::string run = "run" + std::to_string(++runs);
      const auto c = configuration_of(line);
      place.train(2, run, line);
      const gopher::Layout layout = gopher::layout_of(c, burrow::parse_mesh(c.mesh));
      const auto costs = place.records(run, "costs").at(0);
      return std::pair{costs.at("resident_of_rank_0").get<double>(),
                       gopher::memory_of_rank(c, layout, 0, 0, 0).total()};
    };
    const auto [few, few_planned] = of_layers("5");
    const auto [many, many_planned] = of_layers("9");
    CHECK(many - few == Approx(many_planned - few_planned).epsilon(0.02));
    CHECK(few - few_planned > 0);
    CHECK(few - few_planned < 64e6);  // the program, its data and the scratch memory of threads
  }
}

TEST_CASE("every run sends and keeps what its plan says", "[.]") {
  const Place place;
  for (const std::string mesh : {"data=2", "tensor=2", "pipeline=2", "data=4", "data=2,tensor=2",
                                 "data=2,pipeline=2", "pipeline=2,tensor=2", "data=2,pipeline=2,tensor=2"})
    for (const std::string zero : {"0", "1", "2", "3"})
      for (const std::string rematerialize : {"none", "selective", "block", "every=2"})
        for (const std::string micro : {"2", "8"})
          for (const std::string chunks : {"1", "2"})
            for (const std::string rows : {"", " --sequence-parallel"}) {
              const bool staged = mesh.find("pipeline") != mesh.npos;
              if (zero != "0" && mesh.find("data") == mesh.npos) continue;
              if (!rows.empty() && mesh.find("tensor") == mesh.npos) continue;
              if (chunks == "2" && (!staged || micro == "8")) continue;
              check_plan(place, "--mesh " + mesh + " --zero " + zero + " --rematerialize " + rematerialize +
                                    " --micro-batch " + micro + " --chunks " + chunks + rows + " --clip " +
                                    (zero < "2" ? "0.5" : "0"));
            }
}
