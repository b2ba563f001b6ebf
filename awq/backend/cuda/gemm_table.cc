#include "awq/backend/cuda/gemm_table.h"

#include <array>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/direct_q4.h"

namespace awq::cuda {
namespace {

int64_t NoWorkspace(const LinearQ4&, const DeviceLimits&) { return 0; }

// Rows of x are read by 16-byte copies.
bool Readable(const LinearQ4& p) {
  return p.shape.k % 8 == 0 && p.x_stride % 8 == 0 && reinterpret_cast<uintptr_t>(p.x) % 16 == 0 &&
         p.m >= 1 && (p.out == DType::kF32 || p.out == p.act);
}

template <DirectConfig (*kConfig)()>
bool Supports(const LinearQ4& p, const DeviceLimits& device) {
  return device.arch >= 80 && Readable(p);
}

// Passes over the weights, and what a pass costs beside reading them: the first row that fits all of x in
// one pass is the best.
template <DirectConfig (*kConfig)()>
double Estimate(const LinearQ4& p, const DeviceLimits&) {
  const int cols = kConfig().cols;
  const int64_t passes = (p.m + 8 * cols - 1) / (8 * cols);
  return static_cast<double>(passes) * (1.0 + 0.2 * cols);
}

template <DirectConfig (*kConfig)()>
void Launch(const LinearQ4& p, const DeviceLimits& device, const LaunchContext& context) {
  LaunchDirect(kConfig(), p, device, context);
}

template <DirectConfig (*kConfig)()>
constexpr GemmRow Direct(std::string_view name) {
  return {name,        "q4_tile16",    Supports<kConfig>, Estimate<kConfig>,
          NoWorkspace, Launch<kConfig>};
}

// Rows of equal estimates: the first is taken.
constexpr std::array kRows = {
    Direct<Direct1x1x8x4>("direct1x1x8x4"),   Direct<Direct1x1x4x4>("direct1x1x4x4"),
    Direct<Direct1x1x8x2>("direct1x1x8x2"),   Direct<Direct1x1x16x2>("direct1x1x16x2"),
    Direct<Direct1x1x16x4>("direct1x1x16x4"), Direct<Direct1x2x8x2>("direct1x2x8x2"),
    Direct<Direct2x1x8x2>("direct2x1x8x2"),   Direct<Direct2x1x8x4>("direct2x1x8x4"),
    Direct<Direct2x2x8x2>("direct2x2x8x2"),   Direct<Direct2x1x16x2>("direct2x1x16x2"),
    Direct<Direct4x1x8x2>("direct4x1x8x2"),   Direct<Direct4x2x8x2>("direct4x2x8x2"),
    Direct<Direct4x2x4x2>("direct4x2x4x2"),   Direct<Direct8x2x4x1>("direct8x2x4x1"),
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
  return out;
}

}  // namespace awq::cuda
