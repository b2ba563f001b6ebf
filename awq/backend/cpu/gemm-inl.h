// Register-tile multiplications, f32 and 16-bit integer, that every matrix product here is made of.
//
// A product C[M, N] is cut into items of up to kItemRows rows × kTileColumns columns, spread over
// the threads. Within an item the inner dimension runs in blocks: the right side's block is
// expanded into a tile [k][kTileColumns] that stays in L1 (this is where 4-bit, 16-bit or strided
// operands become plain), and the left side, packed beforehand as [row panel][k][rows of the
// panel], meets it in kTileRows × kTileColumns accumulators held in registers.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "awq/backend/cpu/packed.h"
#include "awq/backend/cpu/simd-inl.h"
#include "awq/base/threads.h"
#include "hwy/highway.h"

#if defined(AWQ_CPU_GEMM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef AWQ_CPU_GEMM_INL_H_
#undef AWQ_CPU_GEMM_INL_H_
#else
#define AWQ_CPU_GEMM_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace awq::cpu::HWY_NAMESPACE {

// 12 × 2 of 32 registers, or 6 × 2 of 16; a last panel of fewer rows may have 1/3 or 2/3 of that.
inline constexpr int kTileRows = kManyRegisters ? 12 : 6;
inline constexpr int kTileColumns = 2 * kLanes;
inline constexpr int kItemRows = 20 * kTileRows;
// Inner extent of an f32 tile: 16 KiB with 512-bit vectors, half of L1.
inline constexpr int kDepth = 128;
// Rows of the left side packed at a time.
inline constexpr int64_t kPackRows = 3 * kItemRows;

// Height of the panel that starts `remaining` rows before the end.
HWY_INLINE int PanelHeight(int64_t remaining) {
  constexpr int kStep = kTileRows / 3;
  return static_cast<int>(std::min<int64_t>(kTileRows, RoundUp(remaining, kStep)));
}
HWY_INLINE int64_t PackedRows(int64_t rows) {
  return rows / kTileRows * kTileRows + PanelHeight(rows % kTileRows);
}

// c[r, :] += Σ_k a[r·kRowStride + k·kDepthStride] · b[k, :] for r < kRows.
template <int kRows, int kRowStride, int kDepthStride>
HWY_NOINLINE void TileF32(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, int64_t depth,
                          float* HWY_RESTRICT c, int64_t c_stride) {
  const DF d;
  VF sum0[kRows];
  VF sum1[kRows];
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) sum0[r] = sum1[r] = hn::Zero(d);
  for (int64_t k = 0; k < depth; ++k) {
    const VF b0 = hn::Load(d, b);
    const VF b1 = hn::Load(d, b + kLanes);
    b += kTileColumns;
    HWY_UNROLL(12)
    for (int r = 0; r < kRows; ++r) {
      const VF x = hn::Set(d, a[r * kRowStride]);
      sum0[r] = hn::MulAdd(x, b0, sum0[r]);
      sum1[r] = hn::MulAdd(x, b1, sum1[r]);
    }
    a += kDepthStride;
  }
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    float* to = c + r * c_stride;
    hn::StoreU(hn::Add(hn::LoadU(d, to), sum0[r]), d, to);
    hn::StoreU(hn::Add(hn::LoadU(d, to + kLanes), sum1[r]), d, to + kLanes);
  }
}

// The same with a packed left panel [k][rows]; rows is a PanelHeight.
HWY_INLINE void PanelF32(int rows, const float* a, const float* b, int64_t depth, float* c,
                         int64_t c_stride) {
  constexpr int kStep = kTileRows / 3;
  if (rows == kTileRows) {
    TileF32<kTileRows, 1, kTileRows>(a, b, depth, c, c_stride);
  } else if (rows == 2 * kStep) {
    TileF32<2 * kStep, 1, 2 * kStep>(a, b, depth, c, c_stride);
  } else {
    TileF32<kStep, 1, kStep>(a, b, depth, c, c_stride);
  }
}

// c[r, :] += a_scale[r] · b_scale[:] · Σ_pairs a[pair, r] · b[pair, :], a and b pairs of 16-bit
// integers.
template <int kRows>
HWY_NOINLINE void TileI16(const int32_t* HWY_RESTRICT a, const float* HWY_RESTRICT a_scale,
                          const int32_t* HWY_RESTRICT b, const float* HWY_RESTRICT b_scale,
                          int64_t pairs, float* HWY_RESTRICT c) {
  const DI di;
  const DF df;
  VI sum0[kRows];
  VI sum1[kRows];
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) sum0[r] = sum1[r] = hn::Zero(di);
  for (int64_t k = 0; k < pairs; ++k) {
    const VI b0 = hn::Load(di, b);
    const VI b1 = hn::Load(di, b + kLanes);
    b += kTileColumns;
    HWY_UNROLL(12)
    for (int r = 0; r < kRows; ++r) {
      const VI x = hn::Set(di, a[r]);
      sum0[r] = DotPairs(sum0[r], x, b0);
      sum1[r] = DotPairs(sum1[r], x, b1);
    }
    a += kRows;
  }
  const VF scale0 = hn::Load(df, b_scale);
  const VF scale1 = hn::Load(df, b_scale + kLanes);
  HWY_UNROLL(12)
  for (int r = 0; r < kRows; ++r) {
    float* to = c + r * kTileColumns;
    const VF x = hn::Set(df, a_scale[r]);
    const VF y0 = hn::Mul(hn::ConvertTo(df, sum0[r]), x);
    const VF y1 = hn::Mul(hn::ConvertTo(df, sum1[r]), x);
    hn::Store(hn::MulAdd(y0, scale0, hn::Load(df, to)), df, to);
    hn::Store(hn::MulAdd(y1, scale1, hn::Load(df, to + kLanes)), df, to + kLanes);
  }
}

HWY_INLINE void PanelI16(int rows, const int32_t* a, const float* a_scale, const int32_t* b,
                         const float* b_scale, int64_t pairs, float* c) {
  constexpr int kStep = kTileRows / 3;
  if (rows == kTileRows) {
    TileI16<kTileRows>(a, a_scale, b, b_scale, pairs, c);
  } else if (rows == 2 * kStep) {
    TileI16<2 * kStep>(a, a_scale, b, b_scale, pairs, c);
  } else {
    TileI16<kStep>(a, a_scale, b, b_scale, pairs, c);
  }
}

// c[rows, kTileColumns] = the packed rows [first_row, first_row + rows) of depth k times the
// columns that fill(k0, depth, tile) expands.
template <typename Fill>
HWY_INLINE void ItemF32(const float* packed, int64_t k, int64_t first_row, int64_t rows,
                        const Fill& fill, float* c) {
  HWY_ALIGN float tile[kDepth * kTileColumns];
  std::fill_n(c, PackedRows(rows) * kTileColumns, 0.0f);
  for (int64_t k0 = 0; k0 < k; k0 += kDepth) {
    const int64_t depth = std::min<int64_t>(kDepth, k - k0);
    fill(k0, depth, tile);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      const int height = PanelHeight(rows - r);
      PanelF32(height, packed + (first_row + r) * k + k0 * height, tile, depth,
               c + r * kTileColumns, kTileColumns);
    }
  }
}

// Calls run(row, rows, column) for all items of [0, m) × [0, n), in parallel.
template <typename Run>
HWY_INLINE void ForItems(ThreadPool& pool, int64_t m, int64_t n, const Run& run) {
  const int64_t rows = RoundUp(DivUp(m, DivUp(m, kItemRows)), kTileRows);
  const int64_t columns = DivUp(n, kTileColumns);
  pool.For(DivUp(m, rows) * columns, 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / columns * rows;
      run(row, std::min(rows, m - row), i % columns * kTileColumns);
    }
  });
}

// Copies a row of `count` elements T (or of twice as many half their size) into column `lane` of a
// panel [k][height].
template <typename From, typename T>
HWY_INLINE void ScatterRow(const From* row, int64_t count, int height, int lane, T* panel) {
  constexpr int64_t kStep = int64_t{sizeof(T)} / int64_t{sizeof(From)};
  for (int64_t i = 0; i < count; ++i) {
    hwy::CopyBytes<sizeof(T)>(row + i * kStep, panel + i * height + lane);
  }
}

// The rows of x as packed f32 panels [k][height].
HWY_INLINE void PackRows(ThreadPool& pool, const TensorView& x, float* packed) {
  const int64_t m = x.dim(0);
  const int64_t k = x.dim(1);
  pool.For(DivUp(m, kTileRows), 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    std::vector<float> row(static_cast<size_t>(k));
    for (int64_t first = begin * kTileRows; first < std::min(m, end * kTileRows);
         first += kTileRows) {
      const int height = PanelHeight(m - first);
      for (int i = 0; i < height; ++i) {
        // Rows past M repeat the last one; their results are dropped.
        LoadFloats(x, std::min(first + i, m - 1) * x.strides[0], k, row.data());
        ScatterRow(row.data(), k, height, i, packed + first * k);
      }
    }
  });
}

}  // namespace awq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
