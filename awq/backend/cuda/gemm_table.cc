#include "awq/backend/cuda/gemm_table.h"

#include <array>
#include <cstdlib>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/direct_q4.h"
#include "awq/backend/cuda/wide_q4.h"

namespace awq::cuda {
namespace {

int64_t NoWorkspace(const LinearQ4&, const DeviceLimits&) { return 0; }

// Rows of x are read by 16-byte copies.
bool Readable(const LinearQ4& p) {
  return p.shape.k % 8 == 0 && p.x_stride % 8 == 0 && reinterpret_cast<uintptr_t>(p.x) % 16 == 0 &&
         p.m >= 1 && (p.out == DType::kF32 || p.out == p.act);
}

using MakeConfig = DirectConfig (*)();

// Measured on an H200 (docs/kernels.md): thread blocks of 16 warps while two of them an SM hold all
// row tiles at once, of 8 while three do, of 4 beyond; as many rows of x in one pass as that leaves
// room for.
MakeConfig BestDirect(int64_t m, int64_t row_tiles, int64_t sms) {
  const int64_t per_sm = (row_tiles + sms - 1) / sms;
  if (m <= 8)
    return per_sm <= 2 ? Direct1x1x16x1x2 : per_sm <= 3 ? Direct1x1x8x1x3 : Direct1x1x8x1x4;
  if (m <= 16)
    return per_sm <= 2 ? Direct2x1x16x1x2 : per_sm <= 4 ? Direct2x2x8x2x2 : Direct2x2x4x2x4;
  if (m <= 32)
    return per_sm <= 2 ? Direct2x2x8x2x2 : per_sm <= 3 ? Direct2x2x4x2x4 : Direct4x2x4x1x4;
  return per_sm <= 2 ? Direct2x2x4x2x4 : per_sm <= 3 ? Direct4x2x4x2x3 : Direct8x2x4x1x2;
}

bool Supports(const LinearQ4& p, const DeviceLimits& device) {
  return (device.arch >= 80 || (device.arch >= 75 && p.act == DType::kF16)) && Readable(p);
}

// 0 for the row of choice, 1 for the others.
template <MakeConfig kConfig>
double Estimate(const LinearQ4& p, const DeviceLimits& device) {
  return BestDirect(p.m, p.shape.RowTiles(), device.sms) == kConfig ? 0.0 : 1.0;
}

template <MakeConfig kConfig>
void Launch(const LinearQ4& p, const DeviceLimits& device, const LaunchContext& context) {
  LaunchDirect(kConfig(), p, device, context);
}

template <MakeConfig kConfig>
GemmRow Direct(std::string_view name) {
  return {name, "q4_tile16", Supports, Estimate<kConfig>, NoWorkspace, false, Launch<kConfig>};
}

using MakeWide = WideConfig (*)();

// As many rows of x a tile as there are, up to 128.
MakeWide BestWide(int64_t m) {
  return m <= 16 ? Wide16x4 : m <= 32 ? Wide32x4 : m <= 64 ? Wide64x4 : Wide128x4;
}

template <int kCopy>
bool SupportsWide(const LinearQ4& p, const DeviceLimits& device) {
  static const bool diagnose = getenv("DIAG") != nullptr;
  if (kCopy >= 3 && kCopy < 6 && !diagnose) return false;
  return device.arch == 90 && Readable(p) && p.m > 8;
}

// Before the direct kernels from 33 rows on, for large weights from 17 on (docs/kernels.md).
template <MakeWide kConfig, int kCopy>
double EstimateWide(const LinearQ4& p, const DeviceLimits&) {
  constexpr int64_t kLargeWeight = int64_t{1} << 25;
  const int64_t least = p.shape.n * p.shape.k >= kLargeWeight ? 17 : 33;
  return p.m >= least && BestWide(p.m) == kConfig && kCopy == 1 ? -1.0 : 2.0;
}

template <MakeWide kConfig, int kCopy>
void LaunchWide(const LinearQ4& p, const DeviceLimits& device, const LaunchContext& context) {
  LaunchWide(kConfig(), p, device, context, kCopy);
}

template <MakeWide kConfig, int kCopy>
GemmRow Wide(std::string_view name) {
  return {name,        "q4_tile16", SupportsWide<kCopy>,       EstimateWide<kConfig, kCopy>,
          NoWorkspace, true,        LaunchWide<kConfig, kCopy>};
}

const std::array kRows = {
    Direct<Direct1x1x16x1x2>("direct1x1x16x1x2"),
    Direct<Direct1x1x8x1x3>("direct1x1x8x1x3"),
    Direct<Direct1x1x8x1x4>("direct1x1x8x1x4"),
    Direct<Direct2x1x16x1x2>("direct2x1x16x1x2"),
    Direct<Direct2x2x8x2x2>("direct2x2x8x2x2"),
    Direct<Direct2x2x4x2x4>("direct2x2x4x2x4"),
    Direct<Direct4x2x4x1x4>("direct4x2x4x1x4"),
    Direct<Direct4x2x4x2x3>("direct4x2x4x2x3"),
    Direct<Direct8x2x4x1x2>("direct8x2x4x1x2"),
    Wide<Wide16x4, 0>("wide16x4b"),
    Wide<Wide16x4, 1>("wide16x4t"),
    Wide<Wide16x4, 2>("wide16x4a"),
    Wide<Wide16x4, 3>("wide16x4W"),
    Wide<Wide16x4, 4>("wide16x4X"),
    Wide<Wide16x4, 5>("wide16x4N"),
    Wide<Wide16x4, 6>("wide16x4p"),
    Wide<Wide32x4, 0>("wide32x4b"),
    Wide<Wide32x4, 1>("wide32x4t"),
    Wide<Wide32x4, 2>("wide32x4a"),
    Wide<Wide32x4, 3>("wide32x4W"),
    Wide<Wide32x4, 4>("wide32x4X"),
    Wide<Wide32x4, 5>("wide32x4N"),
    Wide<Wide32x4, 6>("wide32x4p"),
    Wide<Wide64x4, 0>("wide64x4b"),
    Wide<Wide64x4, 1>("wide64x4t"),
    Wide<Wide64x4, 2>("wide64x4a"),
    Wide<Wide64x4, 3>("wide64x4W"),
    Wide<Wide64x4, 4>("wide64x4X"),
    Wide<Wide64x4, 5>("wide64x4N"),
    Wide<Wide64x4, 6>("wide64x4p"),
    Wide<Wide128x4, 0>("wide128x4b"),
    Wide<Wide128x4, 1>("wide128x4t"),
    Wide<Wide128x4, 2>("wide128x4a"),
    Wide<Wide128x4, 3>("wide128x4W"),
    Wide<Wide128x4, 4>("wide128x4X"),
    Wide<Wide128x4, 5>("wide128x4N"),
    Wide<Wide128x4, 6>("wide128x4p"),
    Wide<Wide128x3, 0>("wide128x3b"),
    Wide<Wide128x3, 1>("wide128x3t"),
    Wide<Wide128x3, 2>("wide128x3a"),
    Wide<Wide128x3, 3>("wide128x3W"),
    Wide<Wide128x3, 4>("wide128x3X"),
    Wide<Wide128x3, 5>("wide128x3N"),
    Wide<Wide128x3, 6>("wide128x3p"),
};

}  // namespace

std::span<const GemmRow> GemmTable() { return kRows; }

const GemmRow* FindGemm(const LinearQ4& problem, const DeviceLimits& device) {
  const GemmRow* best = nullptr;
  double least = 0.0;
  for (const GemmRow& row : kRows) {
    if (!row.supports(problem, device)) continue;
    const double estimate = row.estimate(problem, device);
    if (best == nullptr || estimate < least) best = &row, least = estimate;
  }
  return best;
}

const GemmRow& ChooseGemm(const LinearQ4& problem, const DeviceLimits& device) {
  if (const GemmRow* row = FindGemm(problem, device)) return *row;
  Fail(ErrorCode::kUnsupported, "linear_q4 on sm_", device.arch, ": no kernel for M=", problem.m,
       " N=", problem.shape.n, " K=", problem.shape.k, " group ", problem.shape.group,
       ", x stride ", problem.x_stride,
       "; needs sm_80 (sm_75 for f16), K and stride multiples of 8, x aligned to 16 bytes");
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
