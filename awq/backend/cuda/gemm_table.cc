#include "awq/backend/cuda/gemm_table.h"

#include <algorithm>
#include <array>

#include "awq/backend/cuda/cuda_check.h"
#include "awq/backend/cuda/direct_q4.h"
#include "awq/backend/cuda/held_q4.h"
#include "awq/backend/cuda/integer_q4.h"
#include "awq/backend/cuda/staged_q4.h"
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

// The share of the last wave of `tiles` over `slots` that is used, with all waves before it.
double Filled(int64_t tiles, int64_t slots) {
  const int64_t waves = (tiles + slots - 1) / slots;
  return static_cast<double>(tiles) / static_cast<double>(waves * slots);
}

// For up to 8 rows: two, three or four thread blocks an SM, which are worth the more the fuller
// their waves are.
MakeConfig BestOfFewRows(const LinearQ4& p, int64_t sms) {
  const int64_t tiles = p.shape.RowTiles();
  const double two = 0.85 * Filled(tiles, 2 * sms);
  const double three = 0.93 * Filled(tiles, 3 * sms);
  const double four = Filled(tiles, 4 * sms);
  if (four >= std::max(two, three)) return Direct1x1x8x1x4;
  return three >= two ? Direct1x1x8x1x3 : Direct1x1x16x1x2;
}

// Measured on an H200 (docs/kernels.md): thread blocks of 16 warps while two of them an SM hold all
// row tiles at once, of 8 while three do, of 4 beyond; as many rows of x in one pass as that leaves
// room for.
MakeConfig BestDirect(const LinearQ4& p, int64_t sms) {
  const int64_t m = p.m;
  const int64_t per_sm = (p.shape.RowTiles() + sms - 1) / sms;
  // The number of warps, which share the inputs, is all that a row's sums depend on.
  if (p.same_sums) return m <= 16 ? Direct2x2x4x2x4 : m <= 32 ? Direct4x2x4x1x4 : Direct8x2x4x1x2;
  if (m <= 8) return BestOfFewRows(p, sms);
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
  return BestDirect(p, device.sms) == kConfig ? 0.0 : 1.0;
}

template <MakeConfig kConfig>
void Launch(const LinearQ4& p, const DeviceLimits& device, const LaunchContext& context) {
  LaunchDirect(kConfig(), p, device, context);
}

template <MakeConfig kConfig>
GemmRow Direct(std::string_view name) {
  return {name, "q4_tile16", Supports, Estimate<kConfig>, NoWorkspace, false, Launch<kConfig>};
}

bool SupportsInteger(const LinearQ4& p, const DeviceLimits& device) {
  return Readable(p) && !p.same_sums && SupportsIntegerQ4(p, device);
}

double EstimateInteger(const LinearQ4& p, const DeviceLimits& device) {
  return WorthIntegerQ4(p, device) ? -1.0 : 3.0;
}

using MakeWide = WideConfig (*)();

template <MakeWide kConfig>
bool SupportsWide(const LinearQ4& p, const DeviceLimits& device) {
  return device.arch == 90 && Readable(p) && p.m > 8 && !p.same_sums &&
         p.shape.BlocksPerRow() >= kConfig().tile.Blocks();
}

// From how many rows on before the direct kernels (docs/kernels.md).
int64_t FirstWideRow(int64_t weights) {
  return weights >= int64_t{20} << 20 ? 9 : weights >= int64_t{16} << 20 ? 17 : 33;
}

// Among each other by what they are expected to take, less than 1e6 µs.
template <MakeWide kConfig>
double EstimateWide(const LinearQ4& p, const DeviceLimits& device) {
  if (p.m < FirstWideRow(p.shape.n * p.shape.k)) return 2.0;
  return WideMicroseconds(kConfig(), p, device) * 1e-6 - 1.0;
}

template <MakeWide kConfig>
void LaunchWide(const LinearQ4& p, const DeviceLimits& device, const LaunchContext& context) {
  LaunchWide(kConfig(), p, device, context);
}

template <MakeWide kConfig>
GemmRow Wide(std::string_view name) {
  return {name,        "q4_tile16", SupportsWide<kConfig>, EstimateWide<kConfig>,
          NoWorkspace, true,        LaunchWide<kConfig>};
}

using MakeHeld = HeldConfig (*)();

template <MakeHeld kConfig>
bool SupportsHeld(const LinearQ4& p, const DeviceLimits& device) {
  return Readable(p) && !p.same_sums && SupportsHeld(kConfig(), p, device);
}

// Where a step of a model takes less that way (docs/kernels.md): weights from 64 · 2^20 on in few
// parts, with one thread block an SM from 5 rows on alone; from 9 rows on from 20 · 2^20.
MakeHeld BestHeld(const LinearQ4& p) {
  const int64_t weights = p.shape.n * p.shape.k;
  const int64_t blocks = p.shape.BlocksPerRow();
  if (p.m > 8) return weights >= int64_t{20} << 20 ? Held8x1x16 : nullptr;
  if (p.m <= 2 || weights < int64_t{64} << 20) return nullptr;
  if (HeldPartsOf(kHeld8x2x8, blocks) <= 2) return Held8x2x8;
  return p.m > 4 && HeldPartsOf(kHeld16x1x8, blocks) <= 2 ? Held16x1x8 : nullptr;
}

template <MakeHeld kConfig>
double EstimateHeld(const LinearQ4& p, const DeviceLimits&) {
  return BestHeld(p) == kConfig ? -2.0 : 3.0;
}

template <MakeHeld kConfig>
void LaunchHeld(const LinearQ4& p, const DeviceLimits&, const LaunchContext& context) {
  LaunchHeld(kConfig(), p, context);
}

template <MakeHeld kConfig>
GemmRow Held(std::string_view name) {
  return {name,        "q4_tile16", SupportsHeld<kConfig>, EstimateHeld<kConfig>,
          NoWorkspace, false,       LaunchHeld<kConfig>};
}

using MakeStaged = StagedKernel (*)(const LinearQ4&);

template <MakeStaged kKernel>
bool SupportsStaged(const LinearQ4& p, const DeviceLimits& device) {
  return Readable(p) && p.m > 8 && !p.same_sums && FitsStaged(kKernel(p), device);
}

// Before the direct kernels from 17 rows on; among each other by what they are expected to take,
// less than 1e12 cycles.
template <MakeStaged kKernel>
double EstimateStaged(const LinearQ4& p, const DeviceLimits& device) {
  if (p.m <= 16) return 2.0;
  return StagedCycles(kKernel(p), BlocksOf(p, 1.0f), device) * 1e-12 - 1.0;
}

template <MakeStaged kKernel>
int64_t StagedWorkspace(const LinearQ4& p, const DeviceLimits& device) {
  return StagedWorkspace(kKernel(p), BlocksOf(p, 1.0f), device);
}

template <MakeStaged kKernel>
void LaunchStaged(const LinearQ4& p, const DeviceLimits& device, const LaunchContext& context) {
  LaunchStaged({context.stream, context.overlap && device.arch >= 90}, device, kKernel(p),
               BlocksOf(p, 1.0f), context.workspace);
}

template <MakeStaged kKernel>
GemmRow Staged(std::string_view name) {
  return {name,
          "q4_tile16",
          SupportsStaged<kKernel>,
          EstimateStaged<kKernel>,
          StagedWorkspace<kKernel>,
          true,
          LaunchStaged<kKernel>};
}

const std::array kRows = {
    GemmRow{"integer", "q4_tile16", SupportsInteger, EstimateInteger, NoWorkspace, false,
            LaunchIntegerQ4},
    Direct<Direct1x1x16x1x2>("direct1x1x16x1x2"),
    Direct<Direct1x1x8x1x3>("direct1x1x8x1x3"),
    Direct<Direct1x1x8x1x4>("direct1x1x8x1x4"),
    Direct<Direct2x1x16x1x2>("direct2x1x16x1x2"),
    Direct<Direct2x2x8x2x2>("direct2x2x8x2x2"),
    Direct<Direct2x2x4x2x4>("direct2x2x4x2x4"),
    Direct<Direct4x2x4x1x4>("direct4x2x4x1x4"),
    Direct<Direct4x2x4x2x3>("direct4x2x4x2x3"),
    Direct<Direct8x2x4x1x2>("direct8x2x4x1x2"),
    Staged<Staged32x128>("staged32x128"),
    Staged<Staged64x128>("staged64x128"),
    Staged<Staged64x256>("staged64x256"),
    Staged<Staged128x128>("staged128x128"),
    Staged<Staged128x256>("staged128x256"),
    Held<Held8x2x8>("held8x2x8"),
    Held<Held16x1x8>("held16x1x8"),
    Held<Held8x1x16>("held8x1x16"),
    Wide<Wide16x4>("wide16x4"),
    Wide<Wide32x4>("wide32x4"),
    Wide<Wide64x4>("wide64x4"),
    Wide<Wide128x4>("wide128x4"),
    Wide<Wide64x3>("wide64x3"),
    Wide<Wide128x3>("wide128x3"),
    Wide<Wide64x2>("wide64x2"),
    Wide<Wide128x2>("wide128x2"),
    Wide<Wide256x2>("wide256x2"),
    Wide<Wide256Twin>("wide256twin"),
    Wide<Wide128Pair>("wide128pair"),
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

}  // namespace awq::cuda
