#include "awq/backend/cpu/tile_pack.h"

#ifdef AWQ_HAS_TILES
#include <immintrin.h>

#include <algorithm>

#include "awq/backend/cpu/packed.h"

#ifndef __clang__
// GCC 12 takes its own intrinsics' undefined operands for a mistake.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace awq::cpu {
namespace {

// A tile of each part, the largest first.
template <int kParts>
using Tiles = __m512i[kParts][kTileLanes];

AWQ_TILES inline __m512 Widen(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

// Row `row` of every part from two vectors of f32: 32 bf16, then of what those leave, ….
template <int kParts>
AWQ_TILES inline void SplitRow(__m512 x0, __m512 x1, int64_t row, Tiles<kParts>& to) {
#pragma GCC unroll 3
  for (int p = 0; p < kParts; ++p) {
    const __m512i part = (__m512i)_mm512_cvtne2ps_pbh(x1, x0);
    to[p][row] = part;
    if (p + 1 == kParts) break;
    x0 = _mm512_sub_ps(x0, Widen(_mm512_castsi512_si256(part)));
    x1 = _mm512_sub_ps(x1, Widen(_mm512_extracti64x4_epi64(part, 1)));
  }
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
template <int kParts>
AWQ_TILES void LoadLanes(const float* x, int64_t stride, int64_t lanes, int64_t depth,
                         Tiles<kParts>& to) {
  const auto mask = static_cast<uint32_t>((uint64_t{1} << depth) - 1);
  for (int64_t i = 0; i < kTileLanes; ++i) {
    __m512 x0 = _mm512_setzero_ps(), x1 = x0;
    if (i < lanes) {
      const float* from = x + i * stride;
      x0 = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from);
      x1 = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), from + kTileLanes);
    }
    SplitRow<kParts>(x0, x1, i, to);
  }
}

// Two rows of 16, to pairs of one of each.
alignas(64) constexpr uint16_t kWeave[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                             21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                             11, 27, 12, 28, 13, 29, 14, 30, 15, 31};

template <int kParts>
AWQ_TILES inline void WeaveRow(int64_t row, Tiles<kParts>& to) {
  const __m512i weave = _mm512_load_si512(kWeave);
  for (auto& part : to) part[row] = _mm512_permutexvar_epi16(weave, part[row]);
}

// A tile [pair of depths][lane], as the right side wants it.
template <int kParts>
AWQ_TILES void LoadDepths(const float* x, int64_t stride, int64_t lanes, int64_t depth,
                          Tiles<kParts>& to) {
  const auto mask = static_cast<__mmask16>((1u << lanes) - 1);
  for (int64_t p = 0; p < kTileLanes; ++p) {
    __m512 even = _mm512_setzero_ps(), odd = even;
    if (2 * p < depth) even = _mm512_maskz_loadu_ps(mask, x + 2 * p * stride);
    if (2 * p + 1 < depth) odd = _mm512_maskz_loadu_ps(mask, x + (2 * p + 1) * stride);
    SplitRow<kParts>(even, odd, p, to);
    WeaveRow<kParts>(p, to);
  }
}

// The same of what is bf16 and so has no second part.
AWQ_TILES void LoadHalves(const uint16_t* x, int64_t stride, int64_t lanes, int64_t depth,
                          __m512i* to) {
  const auto mask = static_cast<__mmask16>((1u << lanes) - 1);
  for (int64_t p = 0; p < kTileLanes; ++p) {
    __m256i even = _mm256_setzero_si256(), odd = even;
    if (2 * p < depth) even = _mm256_maskz_loadu_epi16(mask, x + 2 * p * stride);
    if (2 * p + 1 < depth) odd = _mm256_maskz_loadu_epi16(mask, x + (2 * p + 1) * stride);
    to[p] = _mm512_or_si512(_mm512_cvtepu16_epi32(even),
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
template <int kParts>
AWQ_TILES void LoadCodes(const PackedQuantized& w, int64_t panel, int64_t k, Tiles<kParts>& to) {
  const auto bits = static_cast<unsigned>(w.bits());
  const int64_t inputs = w.inputs_per_word();
  const __m512i mask = _mm512_set1_epi32((1 << bits) - 1);
  int64_t row = 0;
  for (int64_t word = k / inputs; row < kTileLanes && word < w.words_per_row(); ++word) {
    const int64_t group = word * inputs / w.group();
    const __m512 scale = LoadScales(w, panel, group);
    __m512i zero = _mm512_set1_epi32(1 << (bits - 1));
    if (!w.symmetric()) {
      zero = _mm512_cvtepu8_epi32(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(w.Zeros(panel) + group * kPanel)));
    }
    __m512i codes = _mm512_loadu_si512(w.Words(panel) + word * kPanel);
    for (int64_t s = 0; s < inputs / 2; ++s, ++row) {
      const __m512i even = _mm512_and_si512(codes, mask);
      const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(codes, 16), mask);
      SplitRow<kParts>(_mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(even, zero)), scale),
                       _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(odd, zero)), scale), row,
                       to);
      WeaveRow<kParts>(row, to);
      codes = _mm512_srli_epi32(codes, bits);
    }
  }
  for (; row < kTileLanes; ++row) {
    for (auto& part : to) part[row] = _mm512_setzero_si512();
  }
}

template <int kParts>
AWQ_TILES void Pack(const TileOperand& x, int64_t lane, int64_t k, int64_t depth, bool left,
                    uint16_t* to) {
  Tiles<kParts> tiles;
  const int64_t lanes = std::min(kTileLanes, x.lanes - lane);
  const int64_t at = lane / kTileLanes * x.panel_step + k * x.depth_step;
  const bool by_lane = x.quantized == nullptr && x.lane_step != 1;
  if (lanes <= 0) {
    std::fill_n(to, kParts * kTileSize, uint16_t{0});
    return;
  }
  if (x.quantized != nullptr) {
    LoadCodes<kParts>(*x.quantized, lane / kTileLanes, k, tiles);
  } else if (x.bf16) {
    LoadHalves(static_cast<const uint16_t*>(x.data) + at, x.depth_step, lanes, depth, tiles[0]);
  } else if (by_lane) {
    LoadLanes<kParts>(static_cast<const float*>(x.data) + at, x.lane_step, lanes, depth, tiles);
  } else {
    LoadDepths<kParts>(static_cast<const float*>(x.data) + at, x.depth_step, lanes, depth, tiles);
  }
  for (auto& part : tiles) {
    if (by_lane != left) Transpose(part);
    for (int64_t i = 0; i < kTileLanes; ++i) _mm512_store_si512(to + i * kTileDepth, part[i]);
    to += kTileSize;
  }
}

}  // namespace

void PackTile(const TileOperand& x, int64_t lane, int64_t k, int64_t depth, bool left, int parts,
              uint16_t* to) {
  switch (PartsOf(x, parts)) {
    case 1:
      return Pack<1>(x, lane, k, depth, left, to);
    case 2:
      return Pack<2>(x, lane, k, depth, left, to);
    default:
      return Pack<3>(x, lane, k, depth, left, to);
  }
}

}  // namespace awq::cpu

#endif
