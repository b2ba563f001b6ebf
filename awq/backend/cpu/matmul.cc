// f32 products of calibration: MatMul, Gram, AbsSum.
#include <cstring>
#include <vector>

#include "awq/backend/cpu/kernels.h"
#include "awq/backend/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "awq/backend/cpu/matmul.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "awq/backend/cpu/gemm-inl.h"
#include "awq/backend/cpu/simd-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace awq::cpu::HWY_NAMESPACE {
namespace {

// Inner extent handled at a time, so that packed operands stay bounded.
constexpr int64_t kInnerChunk = 1024;

// tile[k][column] = b[k0 + k, column …], zeros past the last column.
HWY_NOINLINE void FillRows(const TensorView& b, int64_t column, int64_t k0, int64_t depth,
                           float* tile) {
  const int64_t count = std::min<int64_t>(kTileColumns, b.dim(1) - column);
  for (int64_t k = 0; k < depth; ++k) {
    float* to = tile + k * kTileColumns;
    LoadFloats(b, (k0 + k) * b.strides[0] + column, count, to);
    std::fill(to + count, to + kTileColumns, 0.0f);
  }
}

// tile[k][column] = b[column …, k0 + k].
HWY_NOINLINE void FillTransposed(const TensorView& b, int64_t column, int64_t k0, int64_t depth,
                                 float* tile) {
  const int64_t count = std::min<int64_t>(kTileColumns, b.dim(0) - column);
  for (int64_t j = 0; j < count; ++j) {
    const float* from = b.As<const float>() + (column + j) * b.strides[0] + k0;
    for (int64_t k = 0; k < depth; ++k) tile[k * kTileColumns + j] = from[k];
  }
  for (int64_t j = count; j < kTileColumns; ++j) {
    for (int64_t k = 0; k < depth; ++k) tile[k * kTileColumns + j] = 0.0f;
  }
}

// The columns of x[t0 … t0 + depth, :] as packed panels [t][height] of features.
void PackColumns(ThreadPool& pool, const TensorView& x, int64_t t0, int64_t depth, float* packed) {
  const int64_t k = x.dim(1);
  pool.For(DivUp(k, kTileRows), 8, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t first = begin * kTileRows; first < std::min(k, end * kTileRows);
         first += kTileRows) {
      const int height = PanelHeight(k - first);
      const int64_t count = std::min<int64_t>(height, k - first);
      float* to = packed + first * depth;
      for (int64_t t = 0; t < depth; ++t, to += height) {
        LoadFloats(x, (t0 + t) * x.strides[0] + first, count, to);
        std::fill(to + count, to + height, 0.0f);
      }
    }
  });
}

bool OnTiles(const Machine& machine, const TensorView& a, const TensorView& b, int64_t depth,
             const TensorView& c) {
  const auto f32 = [](const TensorView& x) { return x.dtype == DType::kF32; };
  return kMayHaveTiles && f32(a) && f32(b) && f32(c) &&
         TilesPay(machine, c.dim(0), c.dim(1), depth);
}

void VectorMatMul(Machine& machine, const TensorView& a, const TensorView& b, bool transpose_b,
                  const TensorView& c) {
  const int64_t k = a.dim(1);
  for (int64_t begin = 0; begin < a.dim(0); begin += kPackRows) {
    const int64_t m = std::min(kPackRows, a.dim(0) - begin);
    float* packed = machine.scratch.Get<float>(0, PackedRows(m) * k);
    PackRows(machine.pool, a.Rows(begin, begin + m), packed);
    ForItems(machine.pool, m, c.dim(1), [&](int64_t row, int64_t rows, int64_t column) HWY_ATTR {
      HWY_ALIGN float sums[kItemRows * kTileColumns];
      const auto fill = [&](int64_t k0, int64_t depth, float* tile) HWY_ATTR {
        if (transpose_b) {
          FillTransposed(b, column, k0, depth, tile);
        } else {
          FillRows(b, column, k0, depth, tile);
        }
      };
      ItemF32(packed, k, row, rows, fill, sums);
      const int64_t count = std::min<int64_t>(kTileColumns, c.dim(1) - column);
      for (int64_t r = 0; r < rows; ++r) {
        StoreOutputs(sums + r * kTileColumns, count, {}, column, c, begin + row + r);
      }
    });
  }
}

void MatMulInParts(Machine& machine, const TensorView& a, const TensorView& b, bool transpose_b,
                   int parts, const TensorView& c) {
  if (!OnTiles(machine, a, b, a.dim(1), c)) return VectorMatMul(machine, a, b, transpose_b, c);
  TileProduct(machine, {.a = TileOperand::Rows(a),
                        .b = transpose_b ? TileOperand::Rows(b) : TileOperand::Columns(b),
                        .depth = a.dim(1),
                        .c = c.As<float>(),
                        .c_stride = c.strides[0],
                        .parts = parts});
}

}  // namespace

void MatMul(Machine& machine, const TensorView& a, const TensorView& b, bool transpose_b,
            const TensorView& c) {
  MatMulInParts(machine, a, b, transpose_b, 2, c);
}

void ExactMatMul(Machine& machine, const TensorView& a, const TensorView& b, bool transpose_b,
                 const TensorView& c) {
  MatMulInParts(machine, a, b, transpose_b, 3, c);
}

namespace {

// gram += xᵀ·y; for x = y only the tiles on and above the diagonal.
void AddProducts(Machine& machine, const TensorView& x, const TensorView& y, bool symmetric,
                 const TensorView& gram) {
  const int64_t n = x.dim(1);
  const int64_t k = y.dim(1);
  if (OnTiles(machine, x, y, x.dim(0), gram)) {
    return TileProduct(machine, {.a = TileOperand::Columns(x),
                                 .b = TileOperand::Columns(y),
                                 .depth = x.dim(0),
                                 .c = gram.As<float>(),
                                 .c_stride = gram.strides[0],
                                 .parts = 3,
                                 .add = true,
                                 .upper = symmetric});
  }
  for (int64_t t0 = 0; t0 < x.dim(0); t0 += kInnerChunk) {
    const int64_t depth = std::min(kInnerChunk, x.dim(0) - t0);
    float* packed = machine.scratch.Get<float>(0, PackedRows(n) * depth);
    PackColumns(machine.pool, x, t0, depth, packed);
    ForItems(machine.pool, n, k, [&](int64_t row, int64_t rows, int64_t column) HWY_ATTR {
      if (symmetric && column + kTileColumns <= row) return;
      HWY_ALIGN float sums[kItemRows * kTileColumns];
      const auto fill = [&](int64_t k0, int64_t length, float* tile)
                            HWY_ATTR { FillRows(y, column, t0 + k0, length, tile); };
      ItemF32(packed, depth, row, rows, fill, sums);
      const int64_t count = std::min<int64_t>(kTileColumns, k - column);
      for (int64_t r = 0; r < rows; ++r) {
        float* to = gram.As<float>() + (row + r) * gram.strides[0] + column;
        for (int64_t i = 0; i < count; ++i) to[i] += sums[r * kTileColumns + i];
      }
    });
  }
}

}  // namespace

void CrossGram(Machine& machine, const TensorView& x, const TensorView& y, const TensorView& gram) {
  AddProducts(machine, x, y, false, gram);
}

void Gram(Machine& machine, const TensorView& x, const TensorView& gram) {
  AddProducts(machine, x, x, true, gram);
  const int64_t k = x.dim(1);
  float* g = gram.As<float>();
  const int64_t stride = gram.strides[0];
  // By squares, so that both sides stay in L1.
  constexpr int64_t kSquare = 32;
  machine.pool.For(DivUp(k, kSquare), 1, [&](int64_t begin, int64_t end) {
    for (int64_t rows = begin * kSquare; rows < std::min(k, end * kSquare); rows += kSquare) {
      for (int64_t columns = 0; columns <= rows; columns += kSquare) {
        for (int64_t i = rows; i < std::min(k, rows + kSquare); ++i) {
          const int64_t stop = std::min(i, columns + kSquare);
          for (int64_t j = columns; j < stop; ++j) g[i * stride + j] = g[j * stride + i];
        }
      }
    }
  });
}

void AbsSum(Machine& machine, const TensorView& x, const TensorView& sums) {
  constexpr int64_t kColumns = 256;
  machine.pool.For(DivUp(x.dim(1), kColumns), 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    float row[kColumns];
    for (int64_t c = begin * kColumns; c < std::min(x.dim(1), end * kColumns); c += kColumns) {
      const int64_t count = std::min(kColumns, x.dim(1) - c);
      double total[kColumns] = {};
      for (int64_t t = 0; t < x.dim(0); ++t) {
        LoadFloats(x, t * x.strides[0] + c, count, row);
        for (int64_t i = 0; i < count; ++i) total[i] += std::abs(row[i]);
      }
      for (int64_t i = 0; i < count; ++i) sums.As<float>()[c + i] += static_cast<float>(total[i]);
    }
  });
}

}  // namespace awq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace awq::cpu {
HWY_EXPORT(MatMul);
HWY_EXPORT(ExactMatMul);
HWY_EXPORT(Gram);
HWY_EXPORT(CrossGram);
HWY_EXPORT(AbsSum);
void MatMul(Machine& machine, const TensorView& a, const TensorView& b, bool transpose_b,
            const TensorView& c) {
  HWY_DYNAMIC_DISPATCH(MatMul)(machine, a, b, transpose_b, c);
}
void ExactMatMul(Machine& machine, const TensorView& a, const TensorView& b, bool transpose_b,
                 const TensorView& c) {
  HWY_DYNAMIC_DISPATCH(ExactMatMul)(machine, a, b, transpose_b, c);
}
void Gram(Machine& machine, const TensorView& x, const TensorView& gram) {
  HWY_DYNAMIC_DISPATCH(Gram)(machine, x, gram);
}
void CrossGram(Machine& machine, const TensorView& x, const TensorView& y, const TensorView& gram) {
  HWY_DYNAMIC_DISPATCH(CrossGram)(machine, x, y, gram);
}
void AbsSum(Machine& machine, const TensorView& x, const TensorView& sums) {
  HWY_DYNAMIC_DISPATCH(AbsSum)(machine, x, sums);
}
}  // namespace awq::cpu
#endif
