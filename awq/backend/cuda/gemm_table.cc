#include "awq/backend/cuda/gemm_table.h"

#include <array>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/stream_configs.h"

namespace awq::cuda {
namespace {

int64_t NoWorkspace(const LinearQ4&, const DeviceLimits&) { return 0; }

// Rows of x are read by 16-byte copies.
bool Readable(const LinearQ4& p) {
  return p.shape.k % 8 == 0 && p.x_stride % 8 == 0 && reinterpret_cast<uintptr_t>(p.x) % 16 == 0 &&
         p.m >= 1 && (p.out == DType::kF32 || p.out == p.act);
}

template <StreamConfig (*kConfig)(), int kCluster, int kLeastM, int kMostM>
bool Supports(const LinearQ4& p, const DeviceLimits& device) {
  StreamPlan plan;
  return device.arch >= 80 && Readable(p) && p.m >= kLeastM && p.m <= kMostM &&
         PlanStream(kConfig(), p, device, {.cluster = kCluster}, &plan);
}

template <StreamConfig (*kConfig)(), int kCluster>
void Launch(const LinearQ4& p, const DeviceLimits& device, const LaunchContext& context) {
  LaunchStream(kConfig(), p, device, {.cluster = kCluster}, context);
}

template <StreamConfig (*kConfig)(), int kCluster, int kLeastM, int kMostM>
constexpr GemmRow Stream(std::string_view name) {
  return {name, "q4_tile16", Supports<kConfig, kCluster, kLeastM, kMostM>, NoWorkspace,
          Launch<kConfig, kCluster>};
}

constexpr int kAnyM = 1 << 20;
constexpr std::array kRows = {
    Stream<Gemv16, 1, 1, 4>("gemv16"),
    Stream<Gemm8, 4, 1, 8>("gemm8_c4"),
    Stream<Gemv16, 1, 1, 8>("gemv16_small"),
    Stream<Gemm16, 4, 1, 16>("gemm16_c4"),
    Stream<Gemm32Tall, 4, 1, 32>("gemm32_c4"),
    Stream<Gemm64, 4, 1, kAnyM>("gemm64_c4"),
    // No clusters before sm_90, and none for K of a few blocks.
    Stream<Gemm8, 1, 1, 8>("gemm8"),
    Stream<Gemm16, 1, 1, 16>("gemm16"),
    Stream<Gemm32, 1, 1, 32>("gemm32"),
    Stream<Gemm64, 1, 1, kAnyM>("gemm64"),
};

}  // namespace

std::span<const GemmRow> GemmTable() { return kRows; }

const GemmRow& ChooseGemm(const LinearQ4& problem, const DeviceLimits& device) {
  for (const GemmRow& row : kRows) {
    if (row.supports(problem, device)) return row;
  }
  Fail(ErrorCode::kUnsupported, "linear_q4 on sm_", device.arch, ": no kernel for M=", problem.m,
       " N=", problem.shape.n, " K=", problem.shape.k, " group ", problem.shape.group, ", x stride ",
       problem.x_stride, "; needs sm_80, K and stride multiples of 8, x aligned to 16 bytes");
}

DeviceLimits ReadDeviceLimits(int device) {
  DeviceLimits out;
  int major = 0;
  int minor = 0;
  AWQ_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  AWQ_CUDA(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
  AWQ_CUDA(cudaDeviceGetAttribute(&out.sms, cudaDevAttrMultiProcessorCount, device));
  AWQ_CUDA(cudaDeviceGetAttribute(&out.shared_per_block, cudaDevAttrMaxSharedMemoryPerBlockOptin,
                                  device));
  out.arch = 10 * major + minor;
  if (out.arch < 90) return out;
  const void* kernel = Gemm16().f16;
  const int shared = out.shared_per_block;  // one block an SM
  AWQ_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
  for (const int size : {2, 4, 8}) {
    cudaLaunchConfig_t launch = {};
    launch.gridDim = dim3(static_cast<unsigned>(size * out.sms));
    launch.blockDim = dim3(256);
    launch.dynamicSmemBytes = static_cast<size_t>(shared);
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = static_cast<unsigned>(size);
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    launch.attrs = &attribute;
    launch.numAttrs = 1;
    AWQ_CUDA(cudaOccupancyMaxActiveClusters(&out.clusters_of[size], kernel, &launch));
  }
  return out;
}

}  // namespace awq::cuda
