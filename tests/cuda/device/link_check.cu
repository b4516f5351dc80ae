// Compiles a kernel and calls into each library that burrow::cuda links; without a GPU it checks only that
// they load.
#include <burrow/version.hpp>
#include <cstdio>

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime.h>

namespace {

__global__ void twice(float* value) { *value *= 2; }

bool kernel_doubles() {
  float* value = nullptr;
  if (cudaMallocManaged(&value, sizeof(float)) != cudaSuccess) return false;
  *value = 21;
  twice<<<1, 1>>>(value);
  const bool right = cudaDeviceSynchronize() == cudaSuccess && *value == 42;
  return cudaFree(value) == cudaSuccess && right;
}

}  // namespace

int main() {
  int devices = 0;
  const bool has_device = cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
  int cublas_major = 0;
  if (cublasGetProperty(MAJOR_VERSION, &cublas_major) != CUBLAS_STATUS_SUCCESS) return 1;
  std::printf("burrow %s, cuBLAS %d, cuBLASLt %zu, devices %d\n", burrow::version.data(), cublas_major,
              cublasLtGetVersion(), devices);
  return has_device && !kernel_doubles() ? 1 : 0;
}
