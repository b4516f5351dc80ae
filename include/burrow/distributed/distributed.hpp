// All that several processes train with: their world and mesh, divided optimizers and layers.
#pragma once

#include <burrow/distributed/build_sharded.hpp>
#include <burrow/distributed/data_parallel.hpp>
#include <burrow/distributed/init.hpp>
#include <burrow/distributed/mesh.hpp>
#include <burrow/distributed/parallel_layers.hpp>
#include <burrow/distributed/pipeline.hpp>
#include <burrow/distributed/sharded.hpp>
#include <burrow/distributed/sharding_plan.hpp>
#include <burrow/distributed/stage_blocks.hpp>
