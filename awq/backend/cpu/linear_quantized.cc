// Linears with quantized weights: 16-bit integer activations times exact integer codes.
//
// Each row of x is cut into blocks of w.block() inputs and rounded to 16-bit integers with one f32
// scale a block (error ≤ 2^-16 of the block's largest value). Codes and zero points stay exact
// integers, sums of a block are exact in 32 bits (255 · 32767 · 128 < 2^31), and one f32
// multiply-add a block applies both scales. A pairwise 16-bit product does twice the work of an f32
// one per instruction.
#include <vector>

#include "awq/backend/cpu/kernels.h"
#include "awq/backend/cpu/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "awq/backend/cpu/linear_quantized.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "awq/backend/cpu/gemm-inl.h"
#include "awq/backend/cpu/simd-inl.h"
#include "hwy/cache_control.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace awq::cpu::HWY_NAMESPACE {
namespace {

// Rows up to which weights are expanded in registers, once for all rows.
constexpr int64_t kFewRows = 8;

// Rows of words fetched ahead of use; panels follow one another, so the next one is covered too.
constexpr int64_t kAhead = 24;

// Where the rounded activations of a call lie.
struct Rounded {
  int32_t* pairs;  // two 16-bit integers each, interleaved by row: [K/2][rows] or panels of that
  float* scales;
  int32_t* sums;  // of the integers of a block; few rows alone
  int64_t pairs_per_row;
  int64_t blocks;
};

// Blocks that are smaller than this everywhere count as zeros: their inverse scale would overflow.
constexpr float kSmallest = 1e-30f;

// Rounds one row: out[K], scales[blocks], sums[blocks]. K is padded with zeros to whole words.
// Infinities and NaNs make the scale a NaN, so that they reach the output.
HWY_NOINLINE void RoundRow(const float* x, const PackedQuantized& w, int16_t* out, float* scales,
                           int32_t* sums) {
  const DF d;
  const hn::Rebind<int16_t, DF> d16;
  const int64_t padded = w.words_per_row() * w.inputs_per_word();
  for (int64_t begin = 0, b = 0; begin < w.k(); begin += w.block(), ++b) {
    const int64_t count = std::min(w.block(), w.k() - begin);
    const float* from = x + begin;
    VF max = hn::Zero(d);
    VF nothing = hn::Zero(d);  // NaN if any element is not finite
    int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      const VF v = hn::LoadU(d, from + i);
      max = hn::Max(max, hn::Abs(v));
      nothing = hn::MulAdd(v, hn::Zero(d), nothing);
    }
    float largest = hn::GetLane(hn::MaxOfLanes(d, max));
    float bad = hn::GetLane(hn::SumOfLanes(d, nothing));
    for (; i < count; ++i) {
      largest = std::max(largest, std::abs(from[i]));
      bad += from[i] * 0.0f;
    }
    const float scale = largest < kSmallest ? bad : largest / 32767.0f + bad;
    const float inverse = largest < kSmallest ? 0.0f : 32767.0f / largest;
    const VF factor = hn::Set(d, inverse);
    VI sum = hn::Zero(DI());
    for (i = 0; i + kLanes <= count; i += kLanes) {
      const VI q = hn::NearestInt(hn::Mul(hn::LoadU(d, from + i), factor));
      sum = hn::Add(sum, q);
      hn::StoreU(hn::DemoteTo(d16, q), d16, out + begin + i);
    }
    int32_t total = hn::GetLane(hn::SumOfLanes(DI(), sum));
    for (; i < count; ++i) {
      const auto q = static_cast<int16_t>(std::lrint(from[i] * inverse));
      out[begin + i] = q;
      total += q;
    }
    scales[b] = scale;
    if (sums != nullptr) sums[b] = total;
  }
  for (int64_t i = w.k(); i < padded; ++i) out[i] = 0;
}

// Scales and zero points of kLanes outputs from element `at` of the panel's.
HWY_INLINE VF LoadScales(const PackedQuantized& w, int64_t panel, int64_t at) {
  if (w.scale_type() == DType::kF16) return LoadVector(w.Scales<hwy::float16_t>(panel) + at);
  if (w.scale_type() == DType::kBF16) return LoadVector(w.Scales<hwy::bfloat16_t>(panel) + at);
  return LoadVector(w.Scales<float>(panel) + at);
}
HWY_INLINE VI LoadZeros(const PackedQuantized& w, int64_t panel, int64_t at) {
  if (w.symmetric()) return hn::Set(DI(), 1 << (w.bits() - 1));
  const hn::Rebind<uint8_t, DI> d8;
  return hn::PromoteTo(DI(), hn::LoadU(d8, w.Zeros(panel) + at));
}

// ---- few rows: y[kRows, 16] of one panel

template <int kBits, int kRows>
HWY_INLINE void PanelFewRows(const PackedQuantized& w, const Rounded& x, int64_t panel, int lane,
                             float* out) {
  const DI di;
  const DF df;
  const DU du;
  constexpr int kSteps = 16 / kBits;  // pairs a word
  constexpr int kChains = kRows == 1 ? 4 : 2;
  const VU mask = hn::Set(du, kBits == 4 ? 0x000f000fu : 0x00ff00ffu);
  const uint32_t* words = w.Words(panel) + lane;
  const int64_t words_per_block = w.block() / w.inputs_per_word();
  VF y[kRows];
  HWY_UNROLL(8)
  for (int m = 0; m < kRows; ++m) y[m] = hn::Zero(df);
  int64_t word = 0;
  for (int64_t b = 0; b < x.blocks; ++b) {
    VI sum[kRows][kChains];
    HWY_UNROLL(8)
    for (int m = 0; m < kRows; ++m) {
      HWY_UNROLL(4)
      for (int c = 0; c < kChains; ++c) sum[m][c] = hn::Zero(di);
    }
    const int64_t end = std::min(word + words_per_block, w.words_per_row());
    for (; word < end; ++word) {
      VU codes = hn::Load(du, words + word * kPanel);
      hwy::Prefetch(words + (word + kAhead) * kPanel);
      const int32_t* pairs = x.pairs + word * kSteps * kRows;
      HWY_UNROLL(4)
      for (int s = 0; s < kSteps; ++s) {
        const VI pair = hn::BitCast(di, hn::And(codes, mask));
        codes = hn::ShiftRight<kBits>(codes);
        HWY_UNROLL(8)
        for (int m = 0; m < kRows; ++m) {
          const VI activation = hn::Set(di, pairs[s * kRows + m]);
          sum[m][s % kChains] = DotPairs(sum[m][s % kChains], pair, activation);
        }
      }
    }
    const int64_t meta = b * w.block() / w.group() * kPanel + lane;
    const VF scale = LoadScales(w, panel, meta);
    const VI zero = LoadZeros(w, panel, meta);
    HWY_UNROLL(8)
    for (int m = 0; m < kRows; ++m) {
      VI total = sum[m][0];
      HWY_UNROLL(4)
      for (int c = 1; c < kChains; ++c) total = hn::Add(total, sum[m][c]);
      const int64_t at = m * x.blocks + b;
      total = hn::Sub(total, hn::Mul(zero, hn::Set(di, x.sums[at])));
      const VF product = hn::Mul(hn::ConvertTo(df, total), hn::Set(df, x.scales[at]));
      y[m] = hn::MulAdd(product, scale, y[m]);
    }
  }
  HWY_UNROLL(8)
  for (int m = 0; m < kRows; ++m) hn::Store(y[m], df, out + m * kPanel + lane);
}

template <int kBits, int kRows>
HWY_NOINLINE void PanelsFewRows(const PackedQuantized& w, const Rounded& x, int64_t begin,
                                int64_t end, const TensorView& bias, const TensorView& y) {
  HWY_ALIGN float out[kRows * kPanel];
  for (int64_t panel = begin; panel < end; ++panel) {
    for (int lane = 0; lane < kPanel; lane += kLanes) {
      PanelFewRows<kBits, kRows>(w, x, panel, lane, out);
    }
    const int64_t first = panel * kPanel;
    const int64_t count = std::min(kPanel, w.n() - first);
    for (int64_t m = 0; m < y.dim(0); ++m) {
      StoreOutputs(out + m * kPanel, count, bias, first, y, m);
    }
  }
}

using FewRowsFunction = void (*)(const PackedQuantized&, const Rounded&, int64_t, int64_t,
                                 const TensorView&, const TensorView&);

template <int kBits>
FewRowsFunction ChooseFewRows(int64_t rows) {
  if (rows == 1) return &PanelsFewRows<kBits, 1>;
  if (rows == 2) return &PanelsFewRows<kBits, 2>;
  if (rows <= 4) return &PanelsFewRows<kBits, 4>;
  return &PanelsFewRows<kBits, 8>;
}

void FewRows(Machine& machine, const PackedQuantized& w, const TensorView& x,
             const TensorView& bias, const TensorView& y) {
  const int64_t m = x.dim(0);
  const int64_t rows = m <= 2 ? m : m <= 4 ? 4 : 8;
  const int64_t blocks = DivUp(w.k(), w.block());
  const int64_t pairs = w.words_per_row() * w.inputs_per_word() / 2;
  Rounded r{.pairs = machine.scratch.Get<int32_t>(0, rows * pairs),
            .scales = machine.scratch.Get<float>(1, rows * blocks),
            .sums = machine.scratch.Get<int32_t>(2, rows * blocks),
            .pairs_per_row = pairs,
            .blocks = blocks};
  float* row = machine.scratch.Get<float>(3, w.k());
  int16_t* integers = machine.scratch.Get<int16_t>(4, 2 * pairs);
  for (int64_t i = 0; i < rows; ++i) {
    // Rows past M repeat the last one; their results are dropped.
    LoadFloats(x, std::min(i, m - 1) * x.strides[0], w.k(), row);
    RoundRow(row, w, integers, r.scales + i * blocks, r.sums + i * blocks);
    ScatterRow(integers, pairs, static_cast<int>(rows), static_cast<int>(i), r.pairs);
  }
  const FewRowsFunction run = w.bits() == 4 ? ChooseFewRows<4>(m) : ChooseFewRows<8>(m);
  const int64_t panel_bytes = w.words_per_row() * kPanel * 4;
  machine.pool.For(w.panels(), DivUp(16 << 10, panel_bytes),
                   [&](int64_t begin, int64_t end) { run(w, r, begin, end, bias, y); });
}

// ---- many rows: tiles of weights expanded to 16 bits

// Codes less zero points of block b, columns [column, column + kTileColumns), as pairs; and the
// scales.
template <int kBits>
HWY_NOINLINE void ExpandTile(const PackedQuantized& w, int64_t column, int64_t b, int32_t* tile,
                             float* scales) {
  const DI di;
  const DF df;
  const DU du;
  constexpr int kSteps = 16 / kBits;
  const VU mask = hn::Set(du, kBits == 4 ? 0x000f000fu : 0x00ff00ffu);
  const int64_t first = b * w.block() / w.inputs_per_word();
  const int64_t end = std::min(first + w.block() / w.inputs_per_word(), w.words_per_row());
  for (int v = 0; v < 2; ++v) {
    const int64_t at = column + v * kLanes;
    const int64_t panel = at / kPanel;
    const int64_t lane = at % kPanel;
    int32_t* to = tile + v * kLanes;
    if (panel >= w.panels()) {
      for (int64_t i = 0; i < (end - first) * kSteps; ++i) {
        hn::Store(hn::Zero(di), di, to + i * kTileColumns);
      }
      hn::Store(hn::Zero(df), df, scales + v * kLanes);
      continue;
    }
    const int64_t meta = b * w.block() / w.group() * kPanel + lane;
    hn::Store(LoadScales(w, panel, meta), df, scales + v * kLanes);
    const VI zero = LoadZeros(w, panel, meta);
    // 32-bit arithmetic on pairs: the halves are biased by 2^15, so no borrow passes between them.
    const VI bias = hn::Set(di, static_cast<int32_t>(0x80008000u));
    const VI offset = hn::Sub(bias, hn::Or(zero, hn::ShiftLeft<16>(zero)));
    const uint32_t* words = w.Words(panel) + lane;
    for (int64_t word = first; word < end; ++word) {
      VU codes = hn::Load(du, words + word * kPanel);
      // The next block of this panel.
      hwy::Prefetch(words + (word + w.block() / w.inputs_per_word()) * kPanel);
      HWY_UNROLL(4)
      for (int s = 0; s < kSteps; ++s) {
        const VI pair = hn::Add(hn::BitCast(di, hn::And(codes, mask)), offset);
        hn::Store(hn::Xor(pair, bias), di, to);
        codes = hn::ShiftRight<kBits>(codes);
        to += kTileColumns;
      }
    }
  }
}

// Rows [0, rows) of the packed activations × columns [column, column + kTileColumns).
HWY_NOINLINE void Item(const PackedQuantized& w, const Rounded& x, int64_t first_row, int64_t rows,
                       int64_t column, const TensorView& bias, const TensorView& y) {
  HWY_ALIGN float c[kItemRows * kTileColumns];
  HWY_ALIGN int32_t tile[kMaxBlock / 2 * kTileColumns];
  HWY_ALIGN float scales[kTileColumns];
  std::fill_n(c, PackedRows(rows) * kTileColumns, 0.0f);
  for (int64_t b = 0; b < x.blocks; ++b) {
    if (w.bits() == 4) {
      ExpandTile<4>(w, column, b, tile, scales);
    } else {
      ExpandTile<8>(w, column, b, tile, scales);
    }
    const int64_t first_pair = b * w.block() / 2;
    const int64_t pairs = std::min(w.block() / 2, x.pairs_per_row - first_pair);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      const int height = PanelHeight(rows - r);
      const int64_t row = first_row + r;
      PanelI16(height, x.pairs + row * x.pairs_per_row + first_pair * height,
               x.scales + row * x.blocks + b * height, tile, scales, pairs, c + r * kTileColumns);
    }
  }
  const int64_t count = std::min<int64_t>(kTileColumns, w.n() - column);
  for (int64_t r = 0; r < rows; ++r) {
    StoreOutputs(c + r * kTileColumns, count, bias, column, y, first_row + r);
  }
}

// Packs rows in parallel: panels [k/2][height] of pairs, [block][height] of scales.
void PackRounded(Machine& machine, const PackedQuantized& w, const TensorView& x, Rounded& r) {
  const int64_t m = x.dim(0);
  machine.pool.For(DivUp(m, kTileRows), 1, [&](int64_t begin, int64_t end) HWY_ATTR {
    std::vector<float> row(static_cast<size_t>(w.k()));
    std::vector<int16_t> integers(static_cast<size_t>(2 * r.pairs_per_row));
    std::vector<float> scales(static_cast<size_t>(r.blocks));
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = p * kTileRows;
      const int height = PanelHeight(m - first);
      for (int i = 0; i < height; ++i) {
        LoadFloats(x, std::min(first + i, m - 1) * x.strides[0], w.k(), row.data());
        RoundRow(row.data(), w, integers.data(), scales.data(), nullptr);
        ScatterRow(integers.data(), r.pairs_per_row, height, i, r.pairs + first * r.pairs_per_row);
        ScatterRow(scales.data(), r.blocks, height, i, r.scales + first * r.blocks);
      }
    }
  });
}

void ManyRows(Machine& machine, const PackedQuantized& w, const TensorView& x,
              const TensorView& bias, const TensorView& y) {
  const int64_t blocks = DivUp(w.k(), w.block());
  const int64_t pairs = w.words_per_row() * w.inputs_per_word() / 2;
  for (int64_t begin = 0; begin < x.dim(0); begin += kPackRows) {
    const int64_t m = std::min(kPackRows, x.dim(0) - begin);
    Rounded r{.pairs = machine.scratch.Get<int32_t>(0, PackedRows(m) * pairs),
              .scales = machine.scratch.Get<float>(1, PackedRows(m) * blocks),
              .sums = nullptr,
              .pairs_per_row = pairs,
              .blocks = blocks};
    const TensorView to = y.Rows(begin, begin + m);
    PackRounded(machine, w, x.Rows(begin, begin + m), r);
    ForItems(machine.pool, m, w.n(), [&](int64_t row, int64_t rows, int64_t column) {
      Item(w, r, row, rows, column, bias, to);
    });
  }
}

// Many rows of f32: the weights as f32, which need not round x to 16 bits.
bool OnTiles(Machine& machine, const PackedQuantized& w, const TensorView& x,
             const TensorView& bias, const TensorView& y) {
  constexpr int64_t kLeastRows = 128;
  if (!kMayHaveTiles || machine.deterministic || x.dim(0) < kLeastRows) return false;
  if (x.dtype != DType::kF32 || y.dtype != DType::kF32 || w.group() % 8 != 0) return false;
  if (!TilesPay(machine, x.dim(0), w.n(), w.k())) return false;
  TileProduct(machine, {.a = TileOperand::Rows(x),
                        .b = {nullptr, false, w.n(), 0, 0, 0, &w},
                        .depth = w.k(),
                        .c = y.As<float>(),
                        .c_stride = y.strides[0],
                        .bias = bias.empty() ? nullptr : bias.As<const float>()});
  return true;
}

}  // namespace

void LinearQuantized(Machine& machine, const PackedQuantized& w, const TensorView& x,
                     const TensorView& bias, const TensorView& y) {
  if (OnTiles(machine, w, x, bias, y)) return;
  if (x.dim(0) <= kFewRows) {
    FewRows(machine, w, x, bias, y);
  } else {
    ManyRows(machine, w, x, bias, y);
  }
}

}  // namespace awq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace awq::cpu {
HWY_EXPORT(LinearQuantized);
void LinearQuantized(Machine& machine, const PackedQuantized& w, const TensorView& x,
                     const TensorView& bias, const TensorView& y) {
  if (x.dim(0) == 0) return;
  HWY_DYNAMIC_DISPATCH(LinearQuantized)(machine, w, x, bias, y);
}
}  // namespace awq::cpu
#endif
