// The devices that a run computes on.
#pragma once

#include <array>
#include <string_view>

namespace gopher {

enum class DeviceKind { cpu, cuda };
inline constexpr std::array<std::string_view, 2> device_names{"cpu", "cuda"};

/// Throws NoDeviceError where this program or this machine cannot compute on a GPU.
void require_cuda();

}  // namespace gopher
