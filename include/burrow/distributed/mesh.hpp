// Mesh: the ranks of a world arranged as data x pipeline x tensor, with a communicator along each axis.
//
//   const auto mesh = Mesh{world, {.data = 4, .tensor = 2}};
//   mesh.data().all_reduce(gradient.values());
#pragma once

#include <array>
#include <charconv>
#include <string>
#include <string_view>

#include <burrow/distributed/communicator.hpp>
#include <burrow/distributed/machines.hpp>

namespace burrow {

/// The number of ranks along each axis: groups that share a batch (data), the layers (pipeline), and single
/// products (tensor).
struct MeshShape {
  int data = 1;
  int pipeline = 1;
  int tensor = 1;

  int ranks() const { return data * pipeline * tensor; }
  /// "data=4,tensor=2": the axes that are not 1; "data=1" where all are.
  std::string text() const {
    std::string result;
    const auto add = [&](const char* name, int extent) {
      if (extent != 1)
        result += (result.empty() ? "" : ",") + std::string(name) + "=" + std::to_string(extent);
    };
    add("data", data);
    add("pipeline", pipeline);
    add("tensor", tensor);
    return result.empty() ? "data=1" : result;
  }
  friend bool operator==(const MeshShape&, const MeshShape&) = default;
};

/// The shape that "data=2,tensor=2" says; axes that are not named are 1. Throws ConfigError for an axis that
/// is not data, pipeline or tensor, or is named twice, and for an extent that is not a positive number.
inline MeshShape parse_mesh(std::string_view text) {
  MeshShape shape;
  const auto refuse = [&](const std::string& why) {
    throw ConfigError("mesh '" + std::string(text) + "': " + why +
                      "; it is written as data=2,pipeline=2,tensor=2, of which axes of 1 may be left out");
  };
  std::string_view rest = text;
  std::array<bool, 3> named{};
  if (rest.empty()) refuse("it names no axis");
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view item = rest.substr(0, comma);
    if (comma + 1 == rest.size()) refuse("it ends in a comma");
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const std::size_t sign = item.find('=');
    const std::string_view name = item.substr(0, sign);
    constexpr std::array<std::string_view, 3> names{"data", "pipeline", "tensor"};
    const auto axis = static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    if (axis == names.size()) refuse("there is no axis '" + std::string(name) + "'");
    if (named[axis]) refuse("'" + std::string(name) + "' is named twice");
    named[axis] = true;
    int& extent = *std::array{&shape.data, &shape.pipeline, &shape.tensor}[axis];
    const std::string_view digits = sign == item.npos ? "" : item.substr(sign + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), extent);
    if (error != std::errc{} || end != digits.data() + digits.size() || extent < 1)
      refuse("'" + std::string(item) + "' gives no positive number of ranks");
  }
  return shape;
}

/// Ranks arranged as data x pipeline x tensor, machine by machine, whatever the order in which a launcher has
/// numbered them. Those of a tensor group are neighbours, then come those of a data group; stages of a
/// pipeline, which exchange the least, lie farthest apart.
template <Communicator C>
class Mesh {
 public:
  /// All ranks of `world` call it. Throws ConfigError where the shape has not as many ranks as the world.
  Mesh(C world, const MeshShape& shape, Location where = Location::here())
      : shape_{checked(shape, world.size(), where)}, world_{std::move(world)} {
    const int rank = detail::place_by_machine(world_, detail::machine_number());
    tensor_rank_ = rank % shape_.tensor;
    data_rank_ = rank / shape_.tensor % shape_.data;
    stage_ = rank / shape_.tensor / shape_.data;
    tensor_ = world_.split(rank / shape_.tensor, tensor_rank_);
    data_ = world_.split(tensor_rank_ + shape_.tensor * stage_, data_rank_);
    pipeline_ = world_.split(rank % (shape_.tensor * shape_.data), stage_);
    model_ = world_.split(data_rank_, stage_ * shape_.tensor + tensor_rank_);
  }

  const MeshShape& shape() const { return shape_; }
  const C& world() const { return world_; }
  /// The ranks that have the same part of the model and other parts of the batch.
  const C& data() const { return data_; }
  /// The ranks that have the other stages of the model, in order.
  const C& pipeline() const { return pipeline_; }
  /// The ranks that share each product of this stage.
  const C& tensor() const { return tensor_; }
  /// The ranks that together have one copy of the model: all stages of them, and their tensor groups.
  const C& model() const { return model_; }

  /// "rank 5 of data=2,pipeline=2,tensor=2: data 0, stage 1, tensor 1".
  std::string place() const {
    return "rank " + std::to_string(world_.rank()) + " of " + shape_.text() + ": data " +
           std::to_string(data_rank_) + ", stage " + std::to_string(stage_) + ", tensor " +
           std::to_string(tensor_rank_);
  }

 private:
  static MeshShape checked(const MeshShape& shape, int ranks, Location where) {
    if (shape.data < 1 || shape.pipeline < 1 || shape.tensor < 1)
      throw ConfigError("mesh " + shape.text() + ": every axis has one rank at least" + at(where));
    if (shape.ranks() == ranks) return shape;
    const int model = shape.pipeline * shape.tensor;
    std::string advice = "start " + std::to_string(shape.ranks()) + " processes";
    if (ranks % model == 0) {
      MeshShape fitting = shape;
      fitting.data = ranks / model;
      advice += " or take the mesh " + fitting.text();
    } else {
      advice += ", or a multiple of " + std::to_string(model) + " with another extent of data";
    }
    throw ConfigError("mesh " + shape.text() + " is of " + std::to_string(shape.ranks()) +
                      (shape.ranks() == 1 ? " rank" : " ranks") + ", but the world has " +
                      std::to_string(ranks) + ": " + advice + at(where));
  }

  MeshShape shape_;
  C world_, data_, pipeline_, tensor_, model_;
  int data_rank_ = 0, stage_ = 0, tensor_rank_ = 0;
};

}  // namespace burrow
