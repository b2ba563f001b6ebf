// Linears with F32, BF16 or F16 weights, widened to f32 as they are read.
#include <vector>

#include "awq/backend/cpu/kernels.h"
#include "awq/backend/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "awq/backend/cpu/linear_dense.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "awq/backend/cpu/gemm-inl.h"
#include "awq/backend/cpu/simd-inl.h"
#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace awq::cpu::HWY_NAMESPACE {
namespace {

// Rows up to which weights are widened in registers, once for all rows.
constexpr int64_t kFewRows = 8;

// Weights fetched ahead of use; panels follow one another, so the next one is covered too.
constexpr size_t kAheadBytes = 1536;

// y[kRows, 16] of one panel w[k][16]; x is [k][kRows].
template <int kRows, typename T>
HWY_INLINE void PanelFewRows(const T* w, const float* x, int64_t k, int lane, float* out) {
  const DF d;
  constexpr int kChains = kRows >= 4 ? 1 : 4 / kRows;  // hide the latency of multiply-add
  VF sum[kRows][kChains];
  HWY_UNROLL(8)
  for (int m = 0; m < kRows; ++m) {
    HWY_UNROLL(4)
    for (int c = 0; c < kChains; ++c) sum[m][c] = hn::Zero(d);
  }
  int64_t i = 0;
  for (; i + kChains <= k; i += kChains) {
    HWY_UNROLL(4)
    for (int c = 0; c < kChains; ++c) {
      hwy::Prefetch(w + (i + c) * kPanel + kAheadBytes / sizeof(T));
      const VF weights = LoadVector(w + (i + c) * kPanel + lane);
      HWY_UNROLL(8)
      for (int m = 0; m < kRows; ++m) {
        sum[m][c] = hn::MulAdd(hn::Set(d, x[(i + c) * kRows + m]), weights, sum[m][c]);
      }
    }
  }
  for (; i < k; ++i) {
    const VF weights = LoadVector(w + i * kPanel + lane);
    for (int m = 0; m < kRows; ++m) {
      sum[m][0] = hn::MulAdd(hn::Set(d, x[i * kRows + m]), weights, sum[m][0]);
    }
  }
  HWY_UNROLL(8)
  for (int m = 0; m < kRows; ++m) {
    VF total = sum[m][0];
    HWY_UNROLL(4)
    for (int c = 1; c < kChains; ++c) total = hn::Add(total, sum[m][c]);
    hn::Store(total, d, out + m * kPanel + lane);
  }
}

template <int kRows, typename T>
HWY_NOINLINE void PanelsFewRows(const PackedDense& w, const float* x, int64_t begin, int64_t end,
                                const TensorView& bias, const TensorView& y) {
  HWY_ALIGN float out[kRows * kPanel];
  for (int64_t panel = begin; panel < end; ++panel) {
    for (int lane = 0; lane < kPanel; lane += kLanes) {
      PanelFewRows<kRows>(w.Panel<T>(panel), x, w.k(), lane, out);
    }
    const int64_t first = panel * kPanel;
    for (int64_t m = 0; m < y.dim(0); ++m) {
      StoreOutputs(out + m * kPanel, std::min(kPanel, w.n() - first), bias, first, y, m);
    }
  }
}

using FewRowsFunction = void (*)(const PackedDense&, const float*, int64_t, int64_t,
                                 const TensorView&, const TensorView&);

template <typename T>
FewRowsFunction ChooseFewRows(int64_t rows) {
  if (rows == 1) return &PanelsFewRows<1, T>;
  if (rows == 2) return &PanelsFewRows<2, T>;
  if (rows == 4) return &PanelsFewRows<4, T>;
  return &PanelsFewRows<8, T>;
}

template <typename T>
void FewRows(Machine& machine, const PackedDense& w, const TensorView& x, const TensorView& bias,
             const TensorView& y) {
  const int64_t m = x.dim(0);
  const int64_t rows = m <= 2 ? m : m <= 4 ? 4 : 8;
  float* floats = machine.scratch.Get<float>(0, rows * w.k());
  float* row = machine.scratch.Get<float>(1, w.k());
  for (int64_t i = 0; i < rows; ++i) {
    // Rows past M repeat the last one; their results are dropped.
    LoadFloats(x, std::min(i, m - 1) * x.strides[0], w.k(), row);
    ScatterRow(row, w.k(), static_cast<int>(rows), static_cast<int>(i), floats);
  }
  const FewRowsFunction run = ChooseFewRows<T>(rows);
  const int64_t panel_bytes = w.k() * kPanel * static_cast<int64_t>(sizeof(T));
  machine.pool.For(w.panels(), DivUp(16 << 10, panel_bytes),
                   [&](int64_t begin, int64_t end) { run(w, floats, begin, end, bias, y); });
}

// Inputs [k0, k0 + depth) of columns [column, column + kTileColumns) as f32.
template <typename T>
HWY_NOINLINE void FillTile(const PackedDense& w, int64_t column, int64_t k0, int64_t depth,
                           float* tile) {
  const DF d;
  for (int v = 0; v < 2; ++v) {
    const int64_t panel = (column + v * kLanes) / kPanel;
    const int64_t lane = (column + v * kLanes) % kPanel;
    float* to = tile + v * kLanes;
    if (panel >= w.panels()) {
      for (int64_t i = 0; i < depth; ++i) hn::Store(hn::Zero(d), d, to + i * kTileColumns);
      continue;
    }
    const T* from = w.Panel<T>(panel) + k0 * kPanel + lane;
    for (int64_t i = 0; i < depth; ++i) {
      hn::Store(LoadVector(from + i * kPanel), d, to + i * kTileColumns);
    }
  }
}

template <typename T>
void ManyRows(Machine& machine, const PackedDense& w, const TensorView& x, const TensorView& bias,
              const TensorView& y) {
  for (int64_t begin = 0; begin < x.dim(0); begin += kPackRows) {
    const int64_t m = std::min(kPackRows, x.dim(0) - begin);
    const TensorView to = y.Rows(begin, begin + m);
    float* packed = machine.scratch.Get<float>(0, PackedRows(m) * w.k());
    PackRows(machine.pool, x.Rows(begin, begin + m), packed);
    ForItems(machine.pool, m, w.n(), [&](int64_t row, int64_t rows, int64_t column) HWY_ATTR {
      HWY_ALIGN float c[kItemRows * kTileColumns];
      const auto fill = [&](int64_t k0, int64_t depth, float* tile)
                            HWY_ATTR { FillTile<T>(w, column, k0, depth, tile); };
      ItemF32(packed, w.k(), row, rows, fill, c);
      const int64_t count = std::min<int64_t>(kTileColumns, w.n() - column);
      for (int64_t r = 0; r < rows; ++r) {
        StoreOutputs(c + r * kTileColumns, count, bias, column, to, row + r);
      }
    });
  }
}

// Of BF16 weights, which have no second part, and many rows of f32 in three: as exact as vectors.
bool OnTiles(Machine& machine, const PackedDense& w, const TensorView& x, const TensorView& bias,
             const TensorView& y) {
  constexpr int64_t kLeastRows = 128;
  if (!kMayHaveTiles || machine.deterministic || x.dim(0) < kLeastRows) return false;
  if (w.type() != DType::kBF16 || x.dtype != DType::kF32 || y.dtype != DType::kF32) return false;
  if (!TilesPay(machine, x.dim(0), w.n(), w.k())) return false;
  TileProduct(machine, {.a = TileOperand::Rows(x),
                        .b = {w.Panel<uint16_t>(0), true, w.n(), w.k() * kPanel, 1, kPanel},
                        .depth = w.k(),
                        .c = y.As<float>(),
                        .c_stride = y.strides[0],
                        .parts = 3,
                        .bias = bias.empty() ? nullptr : bias.As<const float>()});
  return true;
}

template <typename T>
void Run(Machine& machine, const PackedDense& w, const TensorView& x, const TensorView& bias,
         const TensorView& y) {
  if (x.dim(0) <= kFewRows && !machine.deterministic) {
    FewRows<T>(machine, w, x, bias, y);
  } else {
    ManyRows<T>(machine, w, x, bias, y);
  }
}

}  // namespace

void LinearDense(Machine& machine, const PackedDense& w, const TensorView& x,
                 const TensorView& bias, const TensorView& y) {
  if (OnTiles(machine, w, x, bias, y)) return;
  if (w.type() == DType::kF32) return Run<float>(machine, w, x, bias, y);
  if (w.type() == DType::kBF16) return Run<hwy::bfloat16_t>(machine, w, x, bias, y);
  Run<hwy::float16_t>(machine, w, x, bias, y);
}

}  // namespace awq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace awq::cpu {
HWY_EXPORT(LinearDense);
void LinearDense(Machine& machine, const PackedDense& w, const TensorView& x,
                 const TensorView& bias, const TensorView& y) {
  if (x.dim(0) == 0) return;
  HWY_DYNAMIC_DISPATCH(LinearDense)(machine, w, x, bias, y);
}
}  // namespace awq::cpu
#endif
