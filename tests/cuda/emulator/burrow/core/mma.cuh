// The emulator's products of a warp: each lane computes its elements of d from the registers of the others,
// as include/burrow/core/mma.cuh lays them out.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include <burrow/core/dtype.hpp>

namespace burrow::cuda {

namespace emulated {
/// One of the two elements of a register.
template <class T>
float element(std::uint32_t pair, unsigned which) {
  const auto bits = static_cast<std::uint16_t>(pair >> (16 * which));
  T value;
  std::memcpy(static_cast<void*>(&value), &bits, sizeof(bits));
  return static_cast<float>(value);
}
}  // namespace emulated

template <Narrow T>
void multiply_add(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  struct Registers {
    std::uint32_t a[4], b[2];
  };
  Registers mine;
  std::memcpy(mine.a, a, sizeof(a));
  std::memcpy(mine.b, b, sizeof(b));
  emulator::Block& block = emulator::Block::current();
  const unsigned g = block.lane() / 4, t = block.lane() % 4;
  const auto sums = block.exchange(0xffffffffu, mine, [&](const auto& show) {
    std::array<float, 4> result{};
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = g + i / 2 * 8, column = 2 * t + i % 2;
      for (unsigned k = 0; k < 16; ++k) {
        const std::uint32_t left = show(row % 8 * 4 + k % 8 / 2)->a[row / 8 + k / 8 * 2];
        const std::uint32_t right = show(column * 4 + k % 8 / 2)->b[k / 8];
        result[i] += emulated::element<T>(left, k % 2) * emulated::element<T>(right, k % 2);
      }
    }
    return result;
  });
  for (unsigned i = 0; i < 4; ++i) d[i] += sums[i];
}

template <Narrow T>
std::uint32_t pair_of(float first, float second) {
  return T(first).bits() | static_cast<std::uint32_t>(T(second).bits()) << 16;
}

template <Narrow T>
void store_pair(T* to, std::uint32_t pair) {
  std::memcpy(static_cast<void*>(to), &pair, sizeof(pair));
}

namespace emulated {
/// Element (row, column) of the 8 x 8 matrix whose rows the lanes from `first` on point to.
template <class Show>
std::uint32_t shared_element(const Show& show, unsigned first, unsigned row, unsigned column) {
  std::uint16_t bits;
  std::memcpy(&bits, static_cast<const std::byte*>(*show(first + row)) + 2 * column, sizeof(bits));
  return bits;
}
template <class Place>
void load(std::uint32_t (&r)[4], const void* row, const Place& place) {
  emulator::Block& block = emulator::Block::current();
  const unsigned g = block.lane() / 4, t = block.lane() % 4;
  const auto loaded = block.exchange(0xffffffffu, row, [&](const auto& show) {
    std::array<std::uint32_t, 4> result{};
    for (unsigned i = 0; i < 4; ++i)
      result[i] = place(show, i * 8, g, 2 * t) | place(show, i * 8, g, 2 * t + 1) << 16;
    return result;
  });
  std::memcpy(r, loaded.data(), sizeof(r));
}
}  // namespace emulated

inline void load_matrices(std::uint32_t (&r)[4], const void* row) {
  emulated::load(r, row, [](const auto& show, unsigned first, unsigned g, unsigned k) {
    return emulated::shared_element(show, first, g, k);
  });
}
inline void load_matrices_transposed(std::uint32_t (&r)[4], const void* row) {
  emulated::load(r, row, [](const auto& show, unsigned first, unsigned g, unsigned k) {
    return emulated::shared_element(show, first, k, g);
  });
}

}  // namespace burrow::cuda
