#include "awq/backend/cuda/staged_experts.h"

#include <algorithm>

#include "awq/backend/cuda/staged_linear.cuh"

namespace awq::cuda {
namespace {

template <typename T, typename Codes>
StagedKernel KernelOf(int rows) {
  return rows == 32 ? StagedKernelOf<T, Codes, Size32x128, RoutedStagedItem>(kStaged32x128)
                    : StagedKernelOf<T, Codes, Size64x128, RoutedStagedItem>(kStaged64x128);
}

// Of as many rows a tile.
template <typename T>
StagedKernel KernelOf(const WeightForm& form, int rows) {
  if (form.kind == StackedWeight::kQ8) {
    return form.groups == 1 ? KernelOf<T, StagedQ8<1>>(rows) : KernelOf<T, StagedQ8<2>>(rows);
  }
  if (form.kind != StackedWeight::kQ4) return KernelOf<T, StagedDense>(rows);
  const Q4Shape shape{.group = kBlockK / form.groups, .has_zeros = form.has_zeros};
  return WithScheme(shape, [&](auto groups, auto zeros) {
    using Codes = StagedQ4<groups, zeros>;
    if (rows <= 64) return KernelOf<T, Codes>(rows);
    return StagedKernelOf<T, Codes, Size128x256, RoutedStagedItem>(kStaged128x256);
  });
}

bool IsOneQ4(const Stack& w) { return w.q4().n > 0; }

}  // namespace

bool SupportsStagedExperts(const Stack& w, const TensorView& x, const TensorView& y,
                           const DeviceLimits& device) {
  const bool f16 = x.dtype == DType::kF16;
  const auto floats = f16 ? StackedWeight::kF16 : StackedWeight::kBF16;
  return device.arch >= 80 && (f16 || x.dtype == DType::kBF16) && x.dtype == y.dtype &&
         x.strides[0] % 8 == 0 && w.k() % 8 == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0 &&
         std::ranges::all_of(w.forms(), [&](const WeightForm& form) {
           return form.kind == StackedWeight::kQ4 || form.kind == StackedWeight::kQ8 ||
                  form.kind == floats;
         });
}

bool PrefersStagedExperts(const Stack& w, const Routing& routing, const DeviceLimits& device) {
  return !IsOneQ4(w) || (device.arch != 90 && HaveRows(w, routing, 2, 12));
}

int RowsOfStagedExperts(const Stack& w, int64_t pairs, const DeviceLimits& device) {
  // The largest tile wants 102 KB with groups of 32.
  const int most = IsOneQ4(w) && device.shared_per_block >= (102 << 10) ? 128 : 64;
  const int64_t experts = w.size();
  return std::min(most, pairs < 24 * experts ? 32 : pairs < 96 * experts ? 64 : 128);
}

void StagedExpertsLinear(const Queue& queue, const DeviceLimits& device, const Stack& w,
                         const Routing& routing, const GatheredExperts& plan, const TensorView& x,
                         const TensorView& y, std::optional<Activation> gate, bool in_order) {
  const int64_t pairs = y.dim(0);
  StagedArgs args = {.blocks = nullptr,
                     .row_tiles = static_cast<int>((w.n() + kTileN - 1) / kTileN),
                     .blocks_per_row = static_cast<int>((w.k() + kBlockK - 1) / kBlockK),
                     .scale = 1.0f,
                     .scale_unit = 1.0f,
                     .x = x.data,
                     .x_stride = x.strides[0],
                     .bias = nullptr,
                     .y = y.data,
                     .y_stride = y.strides[0],
                     .y_f32 = false,
                     .gate = gate ? static_cast<int>(*gate) : -1,
                     .y_pairs = StoresPairs(y.data, y.strides[0], false),
                     .m = static_cast<int>(pairs),
                     .n = static_cast<int>(w.n()),
                     .k = static_cast<int>(w.k()),
                     .m_tiles = 0,
                     .n_tiles = 0,
                     .m_group = 1,
                     .parts = 1,
                     .met = nullptr,
                     .sums = nullptr,
                     .routing = RoutingOf(plan, w, routing, in_order)};
  const int64_t tiles = ExpertTiles::Most(pairs, w.size(), plan.rows);
  for (const WeightForm& form : w.forms()) {  // each skips tiles of experts of others
    const StagedKernel kernel = x.dtype == DType::kF16 ? KernelOf<__half>(form, plan.rows)
                                                       : KernelOf<__nv_bfloat16>(form, plan.rows);
    args.n_tiles = static_cast<int>((w.n() + kernel.tile.outputs - 1) / kernel.tile.outputs);
    LaunchStaged(queue, device, kernel, tiles * args.n_tiles, args);
    ++args.routing.form;
  }
}

}  // namespace awq::cuda
