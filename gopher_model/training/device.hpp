// The devices that a run computes on.
#pragma once

#include <array>
#include <string_view>

namespace gopher {

enum class DeviceKind { cpu, cuda };
inline constexpr std::array<std::string_view, 2> device_names{"cpu", "cuda"};

/// Throws NoDeviceError where this program or this machine cannot compute on a GPU.
void require_cuda();
/// Makes a GPU the one of this process, which has that number among those of its machine, of so many ranks in
/// all. Throws what `require_cuda` does, and ConfigError where several ranks cannot exchange.
void take_gpu(int number, int ranks);

}  // namespace gopher
