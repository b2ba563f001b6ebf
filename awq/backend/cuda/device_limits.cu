#include "awq/backend/cuda/device_limits.h"

#include <algorithm>
#include <string>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/wgmma.cuh"

namespace awq::cuda {
namespace {

constexpr int kSm90a = -1;

// What it was compiled for; code of a later architecture can do all that an earlier one can, but
// sm_90a.
__global__ void CodeArchKernel(int* arch) {
#if AWQ_SM90A
  *arch = kSm90a;
#elif defined(__CUDA_ARCH__)
  *arch = __CUDA_ARCH__ / 10;
#endif
}

int CodeArch() {
  int* on_device = nullptr;
  int arch = 0;
  AWQ_CUDA(cudaMalloc(&on_device, sizeof(int)));
  CodeArchKernel<<<1, 1>>>(on_device);
  cudaError_t status = cudaGetLastError();
  if (status == cudaSuccess) {
    status = cudaMemcpy(&arch, on_device, sizeof(int), cudaMemcpyDeviceToHost);
  }
  cudaFree(on_device);
  // Code of another architecture, or of one that this driver is too old to compile for.
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorUnsupportedPtxVersion) {
    return 0;
  }
  AWQ_CUDA(status);
  return arch;
}

// 1000 · major + 10 · minor of CUDA, 0: none.
int DriverVersion() {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}

int CurrentDevice() {
  constexpr int kNeeded = CUDART_VERSION / 1000;
  const int driver = DriverVersion();
  if (driver == 0) {
    Fail(ErrorCode::kDevice, "backend cuda: found no NVIDIA driver here");
  }
  AWQ_CHECK(driver / 1000 >= kNeeded, kDevice, "backend cuda: expected a driver for CUDA ", kNeeded,
            " or later, found one for CUDA ", driver / 1000, ".", driver % 1000 / 10);
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  AWQ_CHECK(status == cudaSuccess && count > 0, kDevice, "backend cuda: found no GPU (",
            cudaGetErrorString(status == cudaSuccess ? cudaErrorNoDevice : status), ")");
  int device = 0;
  AWQ_CUDA(cudaGetDevice(&device));
  return device;
}

}  // namespace

bool HasDriver() { return DriverVersion() != 0; }

DeviceLimits ReadDeviceLimits() {
  cudaDeviceProp properties;
  AWQ_CUDA(cudaGetDeviceProperties(&properties, CurrentDevice()));
  const int arch = 10 * properties.major + properties.minor;
  AWQ_CHECK(arch >= 75, kUnsupported, "backend cuda: ", properties.name, " is sm_", arch,
            "; supported: sm_75 and later");
  int code = CodeArch();
  AWQ_CHECK(code != 0, kUnsupported, "backend cuda: this program has no code for ", properties.name,
            " and its driver; configure with -DAWQ_CUDA_ARCHITECTURES=",
            arch == 90 ? "90a" : std::to_string(arch));
  if (code == kSm90a) {
    code = 90;
  } else if (code == 90) {
    code = arch == 90 ? 89 : arch;
  }
  return {.arch = std::min(arch, code),
          .sms = properties.multiProcessorCount,
          .shared_per_block = static_cast<int>(properties.sharedMemPerBlockOptin),
          .name = properties.name};
}

}  // namespace awq::cuda
