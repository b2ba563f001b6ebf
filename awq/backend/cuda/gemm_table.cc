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

template <StreamConfig (*kConfig)(), int kCluster>
bool Supports(const LinearQ4& p, const DeviceLimits& device) {
  StreamPlan plan;
  return device.arch >= 80 && Readable(p) &&
         PlanStream(kConfig(), p, device, {.cluster = kCluster}, &plan);
}

template <StreamConfig (*kConfig)(), int kCluster>
double Estimate(const LinearQ4& p, const DeviceLimits& device) {
  StreamPlan plan;
  PlanStream(kConfig(), p, device, {.cluster = kCluster}, &plan);
  return plan.estimate_us;
}

template <StreamConfig (*kConfig)(), int kCluster>
void Launch(const LinearQ4& p, const DeviceLimits& device, const LaunchContext& context) {
  LaunchStream(kConfig(), p, device, {.cluster = kCluster}, context);
}

template <StreamConfig (*kConfig)(), int kCluster>
constexpr GemmRow Stream(std::string_view name) {
  return {name,
          "q4_tile16",
          Supports<kConfig, kCluster>,
          Estimate<kConfig, kCluster>,
          NoWorkspace,
          Launch<kConfig, kCluster>};
}

// name: rows of x in a tile x outputs in a tile, blocks in a cluster.
constexpr std::array kRows = {
    Stream<Gemv16, 1>("stream8x16"),          Stream<Gemv32, 1>("stream8x32"),
    Stream<Gemv32, 2>("stream8x32_c2"),       Stream<Gemv64, 2>("stream8x64_c2"),
    Stream<Gemm16x32, 1>("stream16x32"),      Stream<Gemm16x32, 2>("stream16x32_c2"),
    Stream<Gemm16x64, 1>("stream16x64"),      Stream<Gemm16x64, 2>("stream16x64_c2"),
    Stream<Gemm16x64, 4>("stream16x64_c4"),   Stream<Gemm32x64, 1>("stream32x64"),
    Stream<Gemm32x64, 2>("stream32x64_c2"),   Stream<Gemm32x128, 4>("stream32x128_c4"),
    Stream<Gemm64x64, 1>("stream64x64"),      Stream<Gemm64x64, 2>("stream64x64_c2"),
    Stream<Gemm64x128, 2>("stream64x128_c2"), Stream<Gemm64x128, 4>("stream64x128_c4"),
    Stream<Gemm64x256, 2>("stream64x256_c2"), Stream<Gemm64x256, 4>("stream64x256_c4"),
};

}  // namespace

std::span<const GemmRow> GemmTable() { return kRows; }

const GemmRow& ChooseGemm(const LinearQ4& problem, const DeviceLimits& device) {
  const GemmRow* best = nullptr;
  double least = 0.0;
  for (const GemmRow& row : kRows) {
    if (!row.supports(problem, device)) continue;
    const double estimate = row.estimate(problem, device);
    if (best == nullptr || estimate < least) best = &row, least = estimate;
  }
  if (best != nullptr) return *best;
  Fail(ErrorCode::kUnsupported, "linear_q4 on sm_", device.arch, ": no kernel for M=", problem.m,
       " N=", problem.shape.n, " K=", problem.shape.k, " group ", problem.shape.group,
       ", x stride ", problem.x_stride,
       "; needs sm_80, K and stride multiples of 8, x aligned to 16 bytes");
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
  const void* kernel = Gemm16x64().kernels[2].f16;
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
