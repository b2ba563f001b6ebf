#include "awq/backend/cuda/wide_experts.h"

#include "awq/backend/cuda/expert_tiles.cuh"
#include "awq/backend/cuda/tensor_map.h"
#include "awq/backend/cuda/wide_experts.cuh"

namespace awq::cuda {
namespace {

constexpr int kWarpgroups = kExpertRowTiles / 4;

// By the rows that experts have on average: many experts' differ more than those of few.
int RowsOfTile(int64_t experts, int64_t pairs) {
  if (pairs < (experts <= 16 ? 12 : 3) * experts) return 16;
  return pairs < 12 * experts ? 32 : pairs < 96 * experts ? 64 : 128;
}

struct Kernel {
  void (*function)(WideArgs);
  int threads, shared;
};

template <typename T, int kGroups, bool kZeros, int kRows>
Kernel KernelOf() {
  using Size = WideSize<kRows, kWarpgroups, WideQ4<4, true>::kMostBytes>;
  using Codes = WideQ4<kGroups, kZeros>;
  return {&WideLinear<T, Codes, Size, RoutedItem>, Size::kThreads,
          Size::SharedBytes(Codes::kBlockBytes)};
}
template <typename T>
Kernel KernelOf(const Q4Shape& shape, int rows) {
  return WithScheme(shape, [&](auto groups, auto zeros) {
    return rows == 16   ? KernelOf<T, groups, zeros, 16>()
           : rows == 32 ? KernelOf<T, groups, zeros, 32>()
           : rows == 64 ? KernelOf<T, groups, zeros, 64>()
                        : KernelOf<T, groups, zeros, 128>();
  });
}

constexpr int kGatherThreads = 128;

// The first block plans tiles, each other one copies the row of x of a pair, in the order of pairs.
__global__ void GatherKernel(const int* pairs, int pairs_per_row, const uint4* x, int64_t x_stride,
                             uint4* to, int columns, ExpertTilesPlan plan) {
  BeginKernel();
  if (blockIdx.x == 0) return plan.Make<kGatherThreads>();
  const int64_t pair = static_cast<int64_t>(blockIdx.x) - 1;
  const int64_t row = pairs[pair] / pairs_per_row;
  for (int c = static_cast<int>(threadIdx.x); c < columns; c += kGatherThreads) {
    to[pair * columns + c] = x[row * x_stride + c];
  }
}

}  // namespace

bool PrefersWideExperts(const Stack& w, const Routing& routing, const DeviceLimits& device) {
  const int64_t tokens = routing.experts.dim(0);
  if (device.arch != 90 || tokens == 1) return false;
  const int64_t pairs = tokens * routing.experts.dim(1);
  const bool small = w.n() * w.k() < int64_t{32} << 20;
  return pairs >= (small ? 1 : 4) * w.size();
}

int64_t WideExpertsWorkspace(const Routing& routing, int64_t experts, const TensorView& x) {
  const int64_t pairs = routing.pairs.dim(0);
  return ExpertTiles::NumBytes(pairs, experts, RowsOfTile(experts, pairs)) + 2 * pairs * x.dim(1);
}

WideExpertsPlan PlanWideExperts(const Queue& queue, const Routing& routing, int64_t experts,
                                const TensorView& x, void* workspace) {
  const int64_t pairs = routing.pairs.dim(0);
  const int64_t k = x.dim(1);
  const int rows = RowsOfTile(experts, pairs);
  const ExpertTiles tiles(workspace);
  void* gathered = static_cast<char*>(workspace) + ExpertTiles::NumBytes(pairs, experts, rows);
  Launch(queue, GatherKernel, static_cast<unsigned>(pairs) + 1, kGatherThreads, 0,
         routing.pairs.As<const int>(), static_cast<int>(pairs / x.dim(0)),
         static_cast<const uint4*>(x.data), x.strides[0] / 8, static_cast<uint4*>(gathered),
         static_cast<int>(k / 8),
         ExpertTilesPlan{routing.starts.As<const int>(), static_cast<int>(experts), rows, tiles});
  return {rows, tiles, TensorView(gathered, x.dtype, {pairs, k}, Device::kCuda)};
}

void WideExpertsLinear(const Queue& queue, const DeviceLimits& device, const Stack& w,
                       const Routing& routing, const WideExpertsPlan& plan, const TensorView& x,
                       const TensorView& y, std::optional<Activation> gate, bool in_order) {
  const int64_t pairs = y.dim(0);
  const int rows = plan.rows;
  const Q4Shape& shape = w.q4();
  const WideArgs args = {
      .x = SwizzledRowsMap(x.data, pairs, w.k(), x.strides[0], rows),
      .weights = {},
      .scale = 1.0f / UnitOfCodes(x.dtype),
      .scale_unit = 1.0f,
      .blocks_per_row = static_cast<int>(shape.BlocksPerRow()),
      .parts = 1,
      .bias = nullptr,
      .y = y.data,
      .y_stride = y.strides[0],
      .y_f32 = false,
      .gate = gate ? static_cast<int>(*gate) : -1,
      .y_pairs = y.strides[0] % 2 == 0 && reinterpret_cast<uintptr_t>(y.data) % 4 == 0,
      .m = static_cast<int>(pairs),
      .n = static_cast<int>(shape.n),
      .m_tiles = 0,
      .n_tiles = static_cast<int>((shape.n + 64 * kWarpgroups - 1) / (64 * kWarpgroups)),
      .m_group = 1,
      .routing = {.tile_count = plan.tiles.count,
                  .tiles = plan.tiles.tiles,
                  .pairs = in_order ? nullptr : routing.pairs.As<const int>(),
                  .weights = w.maps(),
                  .stack = w.on_device()}};
  const Kernel kernel =
      x.dtype == DType::kF16 ? KernelOf<__half>(shape, rows) : KernelOf<__nv_bfloat16>(shape, rows);
  AWQ_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel.function),
                                cudaFuncAttributeMaxDynamicSharedMemorySize, kernel.shared));
  Launch(queue, kernel.function, static_cast<unsigned>(device.sms),
         static_cast<unsigned>(kernel.threads), kernel.shared, args);
}

}  // namespace awq::cuda
