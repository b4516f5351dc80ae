// What the CUDA tests stand on: launches, shared memory, barriers, shuffles and matrix fragments do the same
// in the emulator as on a GPU.
#include <catch2/catch.hpp>

#include <numeric>
#include <vector>

#include <burrow/core/cuda.cuh>
#include <burrow/core/mma.cuh>

namespace {

using namespace burrow;

/// A copy of host values on the device.
template <class T>
Buffer<Cuda> uploaded(const std::vector<T>& values) {
  const auto bytes = static_cast<Index>(values.size() * sizeof(T));
  Buffer<Cuda> buffer{bytes};
  detail::copy_bytes(Cpu{}, Cuda{}, buffer.data(), values.data(), bytes);
  return buffer;
}
template <class T>
std::vector<T> downloaded(const Buffer<Cuda>& buffer, std::size_t count) {
  std::vector<T> values(count);
  detail::copy_bytes(Cuda{}, Cpu{}, values.data(), buffer.data(), static_cast<Index>(count * sizeof(T)));
  return values;
}

__global__ void reverse_blocks(const int* from, int* to, int count) {
  auto* const shared = reinterpret_cast<int*>(cuda::dynamic_shared());
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) shared[threadIdx.x] = from[i];
  __syncthreads();
  if (i < count) to[i] = shared[blockDim.x - 1 - threadIdx.x];
}

__global__ void warp_sums(const float* from, float* to) {
  float sum = from[blockIdx.x * 32 + threadIdx.x];
  for (int bits = 16; bits > 0; bits /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, bits);
  if (threadIdx.x == 0) to[blockIdx.x] = sum;
}

/// c (16 x 8) = a (16 x 16) b (16 x 8), b read through transposed loads.
__global__ void small_product(const bf16* a, const bf16* b, float* c) {
  auto* const shared = reinterpret_cast<bf16*>(cuda::dynamic_shared());
  for (unsigned i = threadIdx.x; i < 16 * 16; i += 32) shared[i] = a[i];
  for (unsigned i = threadIdx.x; i < 16 * 8; i += 32) shared[256 + i] = b[i];
  __syncwarp();
  const unsigned lane = threadIdx.x;
  std::uint32_t left[4], right[4];
  cuda::load_matrices(left, shared + lane % 16 * 16 + lane / 16 * 8);
  cuda::load_matrices_transposed(right, shared + 256 + lane % 16 * 8);
  float sums[4] = {};
  cuda::multiply_add<bf16>(sums, left, {right[0], right[1]});
  for (unsigned i = 0; i < 4; ++i) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

#if defined(BURROW_CUDA_EMULATED)
void half_of_a_barrier() {
  if (threadIdx.x < 16) __syncwarp();
  if (threadIdx.x >= 16) __syncthreads();
}
#endif

}  // namespace

TEST_CASE("a kernel's blocks share memory and wait for each other") {
  std::vector<int> values(1000);
  std::iota(values.begin(), values.end(), 0);
  const auto from = uploaded(values);
  const Buffer<Cuda> to{4000};
  cuda::launch("reverse", reverse_blocks, {4, 1, 1, 250, 1000}, static_cast<const int*>(from.data()),
               static_cast<int*>(to.data()), 1000);
  const auto reversed = downloaded<int>(to, 1000);
  for (int i = 0; i < 1000; ++i)
    CHECK(reversed[static_cast<std::size_t>(i)] == i / 250 * 250 + 249 - i % 250);
}

TEST_CASE("lanes of a warp exchange values") {
  std::vector<float> values(96);
  std::iota(values.begin(), values.end(), 1.0f);
  const auto from = uploaded(values);
  const Buffer<Cuda> to{12};
  cuda::launch("warp sums", warp_sums, {3, 1, 1, 32}, static_cast<const float*>(from.data()),
               static_cast<float*>(to.data()));
  CHECK(downloaded<float>(to, 3) == std::vector<float>{528, 1552, 2576});
}

TEST_CASE("a warp multiplies matrices on tensor cores") {
  std::vector<bf16> a(256), b(128);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = bf16(static_cast<float>(i * 7 % 13) - 6);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = bf16(static_cast<float>(i * 5 % 11) - 5);
  const auto left = uploaded(a), right = uploaded(b);
  const Buffer<Cuda> to{512};
  cuda::launch("product", small_product, {1, 1, 1, 32, 768}, static_cast<const bf16*>(left.data()),
               static_cast<const bf16*>(right.data()), static_cast<float*>(to.data()));
  const auto c = downloaded<float>(to, 128);
  for (std::size_t row = 0; row < 16; ++row)
    for (std::size_t column = 0; column < 8; ++column) {
      float sum = 0;
      for (std::size_t k = 0; k < 16; ++k)
        sum += static_cast<float>(a[row * 16 + k]) * static_cast<float>(b[k * 8 + column]);
      CHECK(c[row * 8 + column] == sum);
    }
}

TEST_CASE("device memory comes from a pool, and launches that cannot be are refused") {
  { const Buffer<Cuda> warm{1 << 20}; }
  const auto before = memory_statistics<Cuda>().system_allocations;
  { const Buffer<Cuda> again{1 << 20}; }
  CHECK(memory_statistics<Cuda>().system_allocations == before);
  CHECK_THROWS_WITH(cuda::launch("too many", warp_sums, {7, 1, 1, 2048}, static_cast<const float*>(nullptr),
                                 static_cast<float*>(nullptr)),
                    Catch::StartsWith("cuda: too many, 7 x 1 blocks of 2048 threads: "));
}

TEST_CASE("a launch that asks for more shared memory than there is says how much", "[cuda]") {
  CHECK_THROWS_WITH(cuda::launch("sums", warp_sums, {1, 1, 1, 32, 400 << 10},
                                 static_cast<const float*>(nullptr), static_cast<float*>(nullptr)),
                    Catch::Contains("sums: a block of threads needs 400 KiB of shared memory"));
}

#if defined(BURROW_CUDA_EMULATED)
TEST_CASE("a wait that finds that something failed says what was started last") {
  const auto from = uploaded(std::vector<float>(32, 1.0f));
  const Buffer<Cuda> to{4};
  const auto start = [&](const char* name) {
    cuda::launch(name, warp_sums, {1, 1, 1, 32}, static_cast<const float*>(from.data()),
                 static_cast<float*>(to.data()));
  };
  for (const char* const name : {"first", "second", "third", "fourth", "fifth"}) start(name);
  emulator::failed_work = cudaErrorInvalidValue;
  CHECK_THROWS_WITH(cuda::synchronize(), Catch::StartsWith("cuda: work on the device: invalid argument; "
                                                           "started last: fifth, fourth, third, second ("));
  CHECK_NOTHROW(cuda::synchronize());
}

TEST_CASE("where no GPU can be used, the reason is said") {
  CHECK(cuda::why_no_device(cudaSuccess) == "none was found");
  emulator::driver_version = 0;
  CHECK(cuda::why_no_device(cudaErrorInsufficientDriver) == "there is no driver for one");
  emulator::driver_version = 12040;
  CHECK(cuda::why_no_device(cudaErrorInsufficientDriver) ==
        "its driver is one of CUDA 12.4, and this program needs 13.0");
  emulator::driver_version = 13000;
  CHECK(cuda::why_no_device(cudaErrorInvalidValue) == "invalid argument");
  emulator::refused_launch = cudaErrorNoKernelImageForDevice;
  CHECK_THROWS_AS(cuda::launch("sums", warp_sums, {1, 1, 1, 32}, static_cast<const float*>(nullptr),
                               static_cast<float*>(nullptr)),
                  NoDeviceError);
}

TEST_CASE("the emulator finds threads that wait for each other for ever") {
  CHECK_THROWS_AS(cuda::launch("half of a barrier", half_of_a_barrier, {1, 1, 1, 32}), std::logic_error);
}
#endif
