// Everything, for convenience; no header of the library needs it.
#pragma once

#include <burrow/autodiff/checkpoint.hpp>
#include <burrow/autodiff/gradient_check.hpp>
#include <burrow/autodiff/reduce.hpp>
#include <burrow/core/device.hpp>
#include <burrow/io/model.hpp>
#include <burrow/io/npy.hpp>
#include <burrow/nn/attention.hpp>
#include <burrow/nn/combinators.hpp>
#include <burrow/nn/layers.hpp>
#include <burrow/ops/cross_entropy/cross_entropy.hpp>
#include <burrow/ops/softmax/softmax.hpp>
#include <burrow/optim/adafactor.hpp>
#include <burrow/optim/adam.hpp>
#include <burrow/optim/average.hpp>
#include <burrow/optim/clip.hpp>
#include <burrow/optim/groups.hpp>
#include <burrow/optim/lion.hpp>
#include <burrow/optim/rms_prop.hpp>
#include <burrow/optim/schedule.hpp>
#include <burrow/optim/sgd.hpp>
#include <burrow/tensor/create.hpp>
#include <burrow/tensor/print.hpp>
#include <burrow/version.hpp>
