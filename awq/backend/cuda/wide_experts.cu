#include "awq/backend/cuda/wide_experts.h"

#include "awq/backend/cuda/tensor_map.h"
#include "awq/backend/cuda/wide_experts.cuh"

namespace awq::cuda {
namespace {

constexpr int kWarpgroups = kExpertRowTiles / 4;

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

}  // namespace

bool PrefersWideExperts(const Stack& w, const Routing& routing, const DeviceLimits& device) {
  return device.arch == 90 && HaveRows(w, routing, 1, 4);
}

int RowsOfWideExperts(int64_t experts, int64_t pairs) {
  if (pairs < (experts <= 16 ? 12 : 3) * experts) return 16;
  return pairs < 12 * experts ? 32 : pairs < 96 * experts ? 64 : 128;
}

void WideExpertsLinear(const Queue& queue, const DeviceLimits& device, const Stack& w,
                       const Routing& routing, const GatheredExperts& plan, const TensorView& x,
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
      .y_pairs = StoresPairs(y.data, y.strides[0], false),
      .m = static_cast<int>(pairs),
      .n = static_cast<int>(shape.n),
      .m_tiles = 0,
      .n_tiles = static_cast<int>((shape.n + 64 * kWarpgroups - 1) / (64 * kWarpgroups)),
      .m_group = 1,
      .routing = RoutingOf(plan, w, routing, in_order),
      .experts = w.maps()};
  const Kernel kernel =
      x.dtype == DType::kF16 ? KernelOf<__half>(shape, rows) : KernelOf<__nv_bfloat16>(shape, rows);
  AWQ_CUDA(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel.function),
                                cudaFuncAttributeMaxDynamicSharedMemorySize, kernel.shared));
  Launch(queue, kernel.function, static_cast<unsigned>(device.sms),
         static_cast<unsigned>(kernel.threads), kernel.shared, args);
}

}  // namespace awq::cuda
