#include "awq/backend/cpu/tiles.h"

#include <algorithm>

#include "awq/backend/cpu/kernels.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

// GCC 12 takes its own intrinsics' undefined operands for a mistake.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#define AWQ_TILES \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

namespace awq::cpu {
namespace {

constexpr int64_t kLanes = 16;                   // of a tile
constexpr int64_t kTileDepth = 32;               // bf16 in a row of a tile
constexpr int64_t kTile = kLanes * kTileDepth;   // bf16 of a tile
constexpr int64_t kPairLanes = 2 * kLanes;       // rows and columns of what is held in tiles
constexpr int64_t kStepDepth = 256;              // of the right side, 32 KiB of L1
constexpr int64_t kItemRows = 512;               // that meet the same columns
constexpr int64_t kChunkRows = 1024;             // of the left side, packed at a time,
constexpr int64_t kChunkDepth = 3 * kStepDepth;  // 3 MiB

bool GrantedTiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  if ((d & kAmxBf16) == 0 || (d & kAmxTile) == 0) return false;
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || (a & (1u << 5)) == 0) return false;  // bf16
  if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl")) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0;
  uint8_t unused[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Two vectors of f32 as 32 bf16 and what those leave, as 32 bf16.
struct Split {
  __m512i high, low;
};

AWQ_TILES inline __m512 Widen(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

AWQ_TILES inline Split SplitOf(__m512 x0, __m512 x1) {
  const __m512i high = (__m512i)_mm512_cvtne2ps_pbh(x1, x0);
  const __m512 left0 = _mm512_sub_ps(x0, Widen(_mm512_castsi512_si256(high)));
  const __m512 left1 = _mm512_sub_ps(x1, Widen(_mm512_extracti64x4_epi64(high, 1)));
  return {high, (__m512i)_mm512_cvtne2ps_pbh(left1, left0)};
}

// 16 × 16 words of 32 bits, rows and columns exchanged.
AWQ_TILES void Transpose(__m512i* r) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

// A tile [lane][depth] of x, as the left side wants it: row i, two words a pair of depths.
AWQ_TILES void LoadLanes(const float* x, int64_t stride, int64_t lanes, int64_t depth,
                         __m512i* high, __m512i* low) {
  const auto mask = static_cast<uint32_t>((uint64_t{1} << depth) - 1);
  for (int64_t i = 0; i < kLanes; ++i) {
    Split s{_mm512_setzero_si512(), _mm512_setzero_si512()};
    if (i < lanes) {
      const float* from = x + i * stride;
      s = SplitOf(_mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from),
                  _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), from + kLanes));
    }
    high[i] = s.high;
    low[i] = s.low;
  }
}

// Two rows of 16, to pairs of one of each.
alignas(64) constexpr uint16_t kWeave[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                             21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                             11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

// A tile [pair of depths][lane], as the right side wants it.
AWQ_TILES void LoadDepths(const float* x, int64_t stride, int64_t lanes, int64_t depth,
                          __m512i* high, __m512i* low) {
  const __m512i weave = _mm512_load_si512(kWeave);
  const auto mask = static_cast<__mmask16>((1u << lanes) - 1);
  for (int64_t p = 0; p < kLanes; ++p) {
    __m512 even = _mm512_setzero_ps(), odd = even;
    if (2 * p < depth) even = _mm512_maskz_loadu_ps(mask, x + 2 * p * stride);
    if (2 * p + 1 < depth) odd = _mm512_maskz_loadu_ps(mask, x + (2 * p + 1) * stride);
    const Split s = SplitOf(even, odd);
    high[p] = _mm512_permutexvar_epi16(weave, s.high);
    low[p] = _mm512_permutexvar_epi16(weave, s.low);
  }
}

// The same of what is bf16 and so has no second part.
AWQ_TILES void LoadHalves(const uint16_t* x, int64_t stride, int64_t lanes, int64_t depth,
                          __m512i* high) {
  const auto mask = static_cast<__mmask16>((1u << lanes) - 1);
  for (int64_t p = 0; p < kLanes; ++p) {
    __m256i even = _mm256_setzero_si256(), odd = even;
    if (2 * p < depth) even = _mm256_maskz_loadu_epi16(mask, x + 2 * p * stride);
    if (2 * p + 1 < depth) odd = _mm256_maskz_loadu_epi16(mask, x + (2 * p + 1) * stride);
    high[p] = _mm512_or_si512(_mm512_cvtepu16_epi32(even),
                              _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
  }
}

// Row `row` of a panel of scales, as f32.
AWQ_TILES __m512 LoadScales(const PackedQuantized& w, int64_t panel, int64_t row) {
  const int64_t at = row * kPanel;
  if (w.scale_type() == DType::kF32) return _mm512_loadu_ps(w.Scales<float>(panel) + at);
  const __m256i halves =
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w.Scales<uint16_t>(panel) + at));
  return w.scale_type() == DType::kF16 ? _mm512_cvtph_ps(halves) : Widen(halves);
}

// LoadDepths of the weights that codes stand for. Inputs past the last are what zero points make
// them; what they meet is zero.
AWQ_TILES void LoadCodes(const PackedQuantized& w, int64_t panel, int64_t k, __m512i* high,
                         __m512i* low) {
  const auto bits = static_cast<unsigned>(w.bits());
  const int64_t inputs = w.inputs_per_word();
  const __m512i mask = _mm512_set1_epi32((1 << bits) - 1);
  const __m512i weave = _mm512_load_si512(kWeave);
  __m512i* const end = high + kLanes;
  for (int64_t word = k / inputs; high < end; ++word) {
    if (word >= w.words_per_row()) {
      for (; high < end; ++high, ++low) *high = *low = _mm512_setzero_si512();
      return;
    }
    const int64_t group = word * inputs / w.group();
    const __m512 scale = LoadScales(w, panel, group);
    __m512i zero = _mm512_set1_epi32(1 << (bits - 1));
    if (!w.symmetric()) {
      zero = _mm512_cvtepu8_epi32(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(w.Zeros(panel) + group * kPanel)));
    }
    const auto weights = [&](__m512i codes) AWQ_TILES {
      const __m512i steps = _mm512_sub_epi32(_mm512_and_si512(codes, mask), zero);
      return _mm512_mul_ps(_mm512_cvtepi32_ps(steps), scale);
    };
    __m512i codes = _mm512_loadu_si512(w.Words(panel) + word * kPanel);
    for (int64_t s = 0; s < inputs / 2; ++s, ++high, ++low) {
      const Split split = SplitOf(weights(codes), weights(_mm512_srli_epi32(codes, 16)));
      *high = _mm512_permutexvar_epi16(weave, split.high);
      *low = _mm512_permutexvar_epi16(weave, split.low);
      codes = _mm512_srli_epi32(codes, bits);
    }
  }
}

// The tile of lanes [lane, lane + 16) and depths [k, k + depth), depth ≤ 32: both parts, the second
// unset for bf16.
AWQ_TILES void PackTile(const TileOperand& x, int64_t lane, int64_t k, int64_t depth, bool left,
                        uint16_t* to) {
  __m512i high[kLanes], low[kLanes];
  const int64_t lanes = std::min(kLanes, x.lanes - lane);
  const int64_t at = lane / kLanes * x.panel_step + k * x.depth_step;
  if (lanes <= 0) {
    for (int64_t i = 0; i < kLanes; ++i) high[i] = low[i] = _mm512_setzero_si512();
  } else if (x.quantized != nullptr) {
    LoadCodes(*x.quantized, lane / kLanes, k, high, low);
  } else if (x.bf16) {
    LoadHalves(static_cast<const uint16_t*>(x.data) + at, x.depth_step, lanes, depth, high);
    if (left) Transpose(high);
  } else {
    const bool by_lane = x.lane_step != 1;
    const float* from = static_cast<const float*>(x.data) + at;
    if (by_lane) {
      LoadLanes(from, x.lane_step, lanes, depth, high, low);
    } else {
      LoadDepths(from, x.depth_step, lanes, depth, high, low);
    }
    if (by_lane != left) {
      Transpose(high);
      Transpose(low);
    }
  }
  for (int64_t i = 0; i < kLanes; ++i) _mm512_store_si512(to + i * kTileDepth, high[i]);
  if (x.bf16) return;
  for (int64_t i = 0; i < kLanes; ++i) _mm512_store_si512(to + kTile + i * kTileDepth, low[i]);
}

// c[32, 32] += a · b; a is two panels [depth / 32][2 parts][tile] `a_step` apart, b [depth / 32][2
// columns][2 parts][tile].
AWQ_TILES __attribute__((noinline)) void MultiplyPanels(const uint16_t* a, int64_t a_step,
                                                        const uint16_t* b, int64_t tiles,
                                                        bool b_low, float* c) {
  constexpr int kStride = kPairLanes * sizeof(float);
  float* c2 = c + kLanes * kPairLanes;
  asm volatile("" ::: "memory");  // GCC's tile loads do not say that they read
  _tile_loadd(0, c, kStride);
  _tile_loadd(1, c + kLanes, kStride);
  _tile_loadd(2, c2, kStride);
  _tile_loadd(3, c2 + kLanes, kStride);
  for (int64_t i = 0; i < tiles; ++i) {
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + 2 * kTile, 64);
    _tile_loadd(4, a + kTile, 64);
    _tile_loadd(5, a + a_step + kTile, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(4, a, 64);
    _tile_loadd(5, a + a_step, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    if (b_low) {
      _tile_loadd(6, b + kTile, 64);
      _tile_loadd(7, b + 3 * kTile, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    a += 2 * kTile;
    b += 4 * kTile;
  }
  _tile_stored(0, c, kStride);
  _tile_stored(1, c + kLanes, kStride);
  _tile_stored(2, c2, kStride);
  _tile_stored(3, c2 + kLanes, kStride);
}

AWQ_TILES void ConfigureTiles() {
  static const TileShapes shapes;  // in memory: GCC does not see that all of it is read
  asm volatile("" ::: "memory");
  _tile_loadconfig(&shapes);
}

AWQ_TILES void ReleaseTiles() { _tile_release(); }

// A part of a task: the packed rows [first_row, first_row + rows) and depths [k0, k0 + depth).
struct Chunk {
  const TileTask& task;
  int64_t first_row, rows, k0, depth;
  uint16_t* packed;  // [panel][depth / 32][2 parts][tile]
  int64_t panel_size() const { return DivUp(depth, kTileDepth) * 2 * kTile; }
};

// Columns [column, column + 32) of a row of c: the sums, or what c holds and the sums.
AWQ_TILES void StoreRow(const Chunk& chunk, int64_t row, int64_t column, const float* sums) {
  const TileTask& task = chunk.task;
  const bool add = task.add || chunk.k0 > 0;
  const float* more = add ? task.c + row * task.c_stride : task.bias;
  for (int64_t at = column; at < std::min(column + kPairLanes, task.b.lanes); at += kLanes) {
    const int64_t count = std::min(kLanes, task.b.lanes - at);
    const auto mask = static_cast<__mmask16>((1u << count) - 1);
    __m512 sum = _mm512_load_ps(sums + at - column);
    if (more != nullptr) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, more + at));
    _mm512_mask_storeu_ps(task.c + row * task.c_stride + at, mask, sum);
  }
}

// Rows [row, row + rows) of the chunk times the columns [column, column + 32).
void RunItem(const Chunk& chunk, int64_t row, int64_t rows, int64_t column) {
  alignas(64) uint16_t b[kStepDepth / kTileDepth * 4 * kTile];
  alignas(64) float sums[kItemRows * kPairLanes];
  const TileTask& task = chunk.task;
  if (task.upper) rows = std::min(rows, column + kPairLanes - chunk.first_row - row);
  if (rows <= 0) return;
  std::fill_n(sums, RoundUp(rows, kPairLanes) * kPairLanes, 0.0f);
  for (int64_t k = 0; k < chunk.depth; k += kStepDepth) {
    const int64_t end = std::min(chunk.depth, k + kStepDepth);
    uint16_t* to = b;
    for (int64_t at = k; at < end; at += kTileDepth) {
      for (int64_t side = 0; side < 2; ++side, to += 2 * kTile) {
        PackTile(task.b, column + side * kLanes, chunk.k0 + at, std::min(kTileDepth, end - at),
                 false, to);
      }
    }
    for (int64_t r = 0; r < rows; r += kPairLanes) {
      const uint16_t* a =
          chunk.packed + (row + r) / kLanes * chunk.panel_size() + k / kTileDepth * 2 * kTile;
      MultiplyPanels(a, chunk.panel_size(), b, DivUp(end - k, kTileDepth), !task.b.bf16,
                     sums + r * kPairLanes);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    StoreRow(chunk, chunk.first_row + row + r, column, sums + r * kPairLanes);
  }
}

void RunChunk(Machine& machine, const Chunk& chunk) {
  const int64_t panels = RoundUp(chunk.rows, kPairLanes) / kLanes;
  machine.pool.For(panels, 4, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      uint16_t* to = chunk.packed + p * chunk.panel_size();
      for (int64_t k = 0; k < chunk.depth; k += kTileDepth, to += 2 * kTile) {
        PackTile(chunk.task.a, chunk.first_row + p * kLanes, chunk.k0 + k,
                 std::min(kTileDepth, chunk.depth - k), true, to);
      }
    }
  });
  const int64_t columns = DivUp(chunk.task.b.lanes, kPairLanes);
  const int64_t rows =
      RoundUp(DivUp(chunk.rows, DivUp(chunk.rows, kItemRows)), kPairLanes);  // of an item
  machine.pool.For(DivUp(chunk.rows, rows) * columns, 1, [&](int64_t begin, int64_t end) {
    ConfigureTiles();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / columns * rows;
      RunItem(chunk, row, std::min(rows, chunk.rows - row), i % columns * kPairLanes);
    }
    ReleaseTiles();
  });
}

}  // namespace

bool TilesPay(int64_t m, int64_t n, int64_t depth) {
  static const bool granted = GrantedTiles();
  return granted && m >= 32 && n >= 16 && depth >= 32;
}

void TileProduct(Machine& machine, const TileTask& task) {
  for (int64_t first = 0; first < task.a.lanes; first += kChunkRows) {
    const int64_t rows = std::min(kChunkRows, task.a.lanes - first);
    for (int64_t k = 0; k < task.depth; k += kChunkDepth) {
      Chunk chunk{task, first, rows, k, std::min(kChunkDepth, task.depth - k), nullptr};
      chunk.packed =
          machine.scratch.Get<uint16_t>(0, RoundUp(rows, kPairLanes) / kLanes * chunk.panel_size());
      RunChunk(machine, chunk);
    }
  }
}

}  // namespace awq::cpu

#else

namespace awq::cpu {

bool TilesPay(int64_t, int64_t, int64_t) { return false; }
void TileProduct(Machine&, const TileTask&) {}

}  // namespace awq::cpu

#endif
