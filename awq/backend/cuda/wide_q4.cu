#include "awq/backend/cuda/wide_q4.h"

#include <array>
#include <atomic>

#include "awq/backend/cuda/wide_linear.cuh"

namespace awq::cuda {
namespace {

template <const WideTile& kTile>
using SizeOf = WideSize<kTile.rows, kTile.warpgroups, WideQ4<4, true>::kMostBytes,
                        kTile.share == WideShare::kTile>;
template <const WideTile& kTile>
using ItemOf =
    std::conditional_t<kTile.share == WideShare::kNothing, WideItem,
                       std::conditional_t<kTile.share == WideShare::kX, TwinItem, PairItem>>;

WideKernel KernelOf(const WideConfig& config, const LinearQ4& p) {
  const int groups = p.shape.GroupsPerBlock();
  const int which = groups == 4 ? 0 : groups == 2 ? 1 : 2;
  const auto& kernels = p.act == DType::kF16 ? config.f16 : config.bf16;
  return {.tile = config.tile,
          .function = kernels[which][p.shape.has_zeros ? 1 : 0],
          .threads = config.threads,
          .shared = config.shared(static_cast<int>(p.shape.BlockBytes())),
          .clusters = config.clusters};
}

BlockProblem ProblemOf(const LinearQ4& p) { return BlocksOf(p, UnitOfCodes(p.act)); }

}  // namespace

#define AWQ_WIDE_GROUP(type, groups, ...)                                                   \
  {                                                                                         \
    reinterpret_cast<const void*>(&WideLinear<type, WideQ4<groups, false>, __VA_ARGS__>),   \
        reinterpret_cast<const void*>(&WideLinear<type, WideQ4<groups, true>, __VA_ARGS__>) \
  }
#define AWQ_WIDE_TYPE(type, ...)                                                \
  {                                                                             \
    AWQ_WIDE_GROUP(type, 4, __VA_ARGS__), AWQ_WIDE_GROUP(type, 2, __VA_ARGS__), \
        AWQ_WIDE_GROUP(type, 1, __VA_ARGS__)                                    \
  }
#define AWQ_WIDE(name)                                                 \
  WideConfig Wide##name() {                                            \
    using Size = SizeOf<kWide##name>;                                  \
    using Item = ItemOf<kWide##name>;                                  \
    static std::array<std::atomic<int>, kWideParts + 1> clusters = {}; \
    return {kWide##name,                                               \
            Size::kThreads,                                            \
            Size::SharedBytes,                                         \
            AWQ_WIDE_TYPE(__half, Size, Item),                         \
            AWQ_WIDE_TYPE(__nv_bfloat16, Size, Item),                  \
            clusters.data()};                                          \
  }

AWQ_WIDE(16x4)
AWQ_WIDE(32x4)
AWQ_WIDE(64x4)
AWQ_WIDE(128x4)
AWQ_WIDE(64x3)
AWQ_WIDE(128x3)
AWQ_WIDE(64x2)
AWQ_WIDE(128x2)
AWQ_WIDE(256x2)
AWQ_WIDE(256Twin)
AWQ_WIDE(128Pair)

double WideMicroseconds(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device) {
  const WideCut cut = CutFor(KernelOf(config, p), ProblemOf(p), device);
  return WideMicroseconds(config.tile, cut, device.sms);
}

void LaunchWide(const WideConfig& config, const LinearQ4& p, const DeviceLimits& device,
                const LaunchContext& context) {
  LaunchWide(KernelOf(config, p), ProblemOf(p), device, context);
}

}  // namespace awq::cuda
