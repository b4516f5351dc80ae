// Views of tensors: their parts (slicing.hpp) and all of them with the axes in another order or number
// (rearranging.hpp).
#pragma once

#include <burrow/tensor/rearranging.hpp>
#include <burrow/tensor/slicing.hpp>
