#include "awq/backend/cuda/staged_experts.h"

#include "awq/backend/cuda/staged_linear.cuh"

namespace awq::cuda {
namespace {

template <typename T, typename Size>
StagedKernel KernelOf(const StagedTile& tile, const Q4Shape& shape) {
  return WithScheme(shape, [&](auto groups, auto zeros) {
    return StagedKernelOf<T, StagedQ4<groups, zeros>, Size, RoutedStagedItem>(tile);
  });
}
template <typename T>
StagedKernel KernelOf(const Q4Shape& shape, int rows) {
  return rows == 32   ? KernelOf<T, Size32x128>(kStaged32x128, shape)
         : rows == 64 ? KernelOf<T, Size64x128>(kStaged64x128, shape)
                      : KernelOf<T, Size128x256>(kStaged128x256, shape);
}

}  // namespace

bool PrefersStagedExperts(const Stack& w, const Routing& routing, const DeviceLimits& device) {
  const int64_t tokens = routing.experts.dim(0);
  const int64_t pairs = tokens * routing.experts.dim(1);
  const bool small = w.n() * w.k() < int64_t{32} << 20;
  return device.arch >= 80 && device.arch != 90 && tokens > 1 &&
         pairs >= (small ? 2 : 12) * w.size();
}

int RowsOfStagedExperts(int64_t experts, int64_t pairs, const DeviceLimits& device) {
  // The largest tile wants 102 KB with groups of 32.
  const int most = device.shared_per_block >= (102 << 10) ? 128 : 64;
  return std::min(most, pairs < 24 * experts ? 32 : pairs < 96 * experts ? 64 : 128);
}

void StagedExpertsLinear(const Queue& queue, const DeviceLimits& device, const Stack& w,
                         const Routing& routing, const GatheredExperts& plan, const TensorView& x,
                         const TensorView& y, std::optional<Activation> gate, bool in_order) {
  const int64_t pairs = y.dim(0);
  const Q4Shape& shape = w.q4();
  const StagedKernel kernel = x.dtype == DType::kF16 ? KernelOf<__half>(shape, plan.rows)
                                                     : KernelOf<__nv_bfloat16>(shape, plan.rows);
  const int64_t n_tiles = (shape.n + kernel.tile.outputs - 1) / kernel.tile.outputs;
  const StagedArgs args = {
      .blocks = nullptr,
      .row_tiles = static_cast<int>(shape.RowTiles()),
      .blocks_per_row = static_cast<int>(shape.BlocksPerRow()),
      .scale = 1.0f,
      .scale_unit = 1.0f,
      .x = x.data,
      .x_stride = x.strides[0],
      .bias = nullptr,
      .y = y.data,
      .y_stride = y.strides[0],
      .y_f32 = false,
      .gate = gate ? static_cast<int>(*gate) : -1,
      .y_pairs = y.strides[0] % 2 == 0 && reinterpret_cast<uintptr_t>(y.data) % 4 == 0,
      .m = static_cast<int>(pairs),
      .n = static_cast<int>(shape.n),
      .k = static_cast<int>(shape.k),
      .m_tiles = 0,
      .n_tiles = static_cast<int>(n_tiles),
      .m_group = 1,
      .parts = 1,
      .met = nullptr,
      .sums = nullptr,
      .routing = {.tile_count = plan.tiles.count,
                  .tiles = plan.tiles.tiles,
                  .pairs = in_order ? nullptr : routing.pairs.As<const int>(),
                  .stack = w.on_device()}};
  LaunchStaged(queue, device, kernel, ExpertTiles::Most(pairs, w.size(), plan.rows) * n_tiles,
               args);
}

}  // namespace awq::cuda
