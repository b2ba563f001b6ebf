#include "awq/backend/cpu/tile_multiply.h"

#ifdef AWQ_HAS_TILES
#include <immintrin.h>

namespace awq::cpu {
namespace {

struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0;
  uint8_t unused[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// The part `kPart` of the left side, to tiles 4 and 5.
template <int kPart>
AWQ_TILES inline void LoadLeft(const PanelPair& a) {
  _tile_loadd(4, a.data + kPart * kTileSize, 64);
  _tile_loadd(5, a.data + a.step + kPart * kTileSize, 64);
}

// Of the right side, to tiles 6 and 7.
template <int kPart>
AWQ_TILES inline void LoadRight(const PanelPair& b) {
  _tile_loadd(6, b.data + kPart * kTileSize, 64);
  _tile_loadd(7, b.data + b.step + kPart * kTileSize, 64);
}

AWQ_TILES inline void MultiplyLoaded() {
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

// Tiles 0 to 3 += the products of parts whose sizes multiply to more than what is left out.
template <int kLeft, int kRight>
AWQ_TILES inline void MultiplyParts(const PanelPair& a, const PanelPair& b) {
  if constexpr (kLeft == 3 && kRight == 1) {
    LoadRight<0>(b);
    LoadLeft<2>(a);
    MultiplyLoaded();
    LoadLeft<1>(a);
    MultiplyLoaded();
    LoadLeft<0>(a);
    MultiplyLoaded();
  } else if constexpr (kLeft == 3) {
    LoadRight<2>(b);
    LoadLeft<0>(a);
    MultiplyLoaded();
    LoadRight<1>(b);
    MultiplyLoaded();
    LoadLeft<1>(a);
    MultiplyLoaded();
    LoadRight<0>(b);
    MultiplyLoaded();
    LoadLeft<2>(a);
    MultiplyLoaded();
    LoadLeft<0>(a);
    MultiplyLoaded();
  } else {
    LoadRight<0>(b);
    LoadLeft<1>(a);
    MultiplyLoaded();
    LoadLeft<0>(a);
    MultiplyLoaded();
    LoadRight<1>(b);
    MultiplyLoaded();
  }
}

template <int kLeft, int kRight>
AWQ_TILES __attribute__((noinline)) void Multiply(PanelPair a, PanelPair b, int64_t tiles,
                                                  float* c) {
  constexpr int kStride = kPairLanes * sizeof(float);
  float* c2 = c + kTileLanes * kPairLanes;
  asm volatile("" ::: "memory");  // GCC's tile loads do not say that they read
  _tile_loadd(0, c, kStride);
  _tile_loadd(1, c + kTileLanes, kStride);
  _tile_loadd(2, c2, kStride);
  _tile_loadd(3, c2 + kTileLanes, kStride);
  for (int64_t i = 0; i < tiles; ++i) {
    MultiplyParts<kLeft, kRight>(a, b);
    a.data += kLeft * kTileSize;
    b.data += kRight * kTileSize;
  }
  _tile_stored(0, c, kStride);
  _tile_stored(1, c + kTileLanes, kStride);
  _tile_stored(2, c2, kStride);
  _tile_stored(3, c2 + kTileLanes, kStride);
}

}  // namespace

AWQ_TILES void ConfigureTiles() {
  static const TileShapes shapes;  // in memory: GCC does not see that all of it is read
  asm volatile("" ::: "memory");
  _tile_loadconfig(&shapes);
}

AWQ_TILES void ReleaseTiles() { _tile_release(); }

void MultiplyPanels(int left, int right, const PanelPair& a, const PanelPair& b, int64_t tiles,
                    float* c) {
  if (left == 2) return Multiply<2, 2>(a, b, tiles, c);
  if (right == 3) return Multiply<3, 3>(a, b, tiles, c);
  Multiply<3, 1>(a, b, tiles, c);
}

}  // namespace awq::cpu

#endif
