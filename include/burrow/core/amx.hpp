// The processor's matrix unit (Intel AMX): whether it may be used, and its registers. Eight tiles of 16 rows
// of 64 bytes each hold bf16, whose products are summed in tiles of fp32.
#pragma once

#include <atomic>

#include <burrow/core/shape.hpp>

// g++ and clang before 15 spell the macros differently.
#if (defined(__AMX_BF16__) || defined(__AMXBF16__)) && defined(__AVX512BF16__) && defined(__AVX512BW__) && \
    defined(__linux__)
#define BURROW_WITH_AMX 1
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace burrow::cpu {

/// Has bf16 multiplied without tiles while it lives, as on processors that have none: for tests and
/// comparisons.
class WithoutAmx {
 public:
  WithoutAmx() { ++living(); }
  ~WithoutAmx() { --living(); }
  WithoutAmx(const WithoutAmx&) = delete;
  WithoutAmx& operator=(const WithoutAmx&) = delete;

  static std::atomic<int>& living() {
    static std::atomic<int> count{0};
    return count;
  }
};

namespace detail {

#ifdef BURROW_WITH_AMX
/// True where this build can multiply bf16 in tiles.
inline constexpr bool compiled_for_amx = true;

/// True where tiles may be used. Asks the kernel, once, for their registers.
inline bool amx_permitted() {
  static const bool permitted = [] {
    constexpr int request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  }();
  return permitted && WithoutAmx::living() == 0;
}

/// Gives the calling thread all eight tiles, 16 rows of 64 bytes each, for as long as it lives.
class AmxTiles {
 public:
  AmxTiles() {
    struct alignas(64) {
      std::uint8_t palette = 1, start = 0, reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const configuration;
    static_assert(sizeof(configuration) == 64);
    asm volatile("" ::"r"(&configuration) : "memory");  // g++ 12's intrinsics do not say what they read
    _tile_loadconfig(&configuration);
  }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;
  ~AmxTiles() { _tile_release(); }
};
#else
inline constexpr bool compiled_for_amx = false;
inline bool amx_permitted() { return false; }
class AmxTiles {};
#endif

}  // namespace detail
}  // namespace burrow::cpu
