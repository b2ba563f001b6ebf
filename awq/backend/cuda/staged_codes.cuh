// Codes of a stage in shared memory as A operands of mma: what staged_linear wants of a layout.
//
// A stage has kUnits units, each of kProducts products of 16 inputs, for which a lane reads kChunks
// times 8 inputs of a row of x. Chunks of odd rows are turned by kTurn, so that the eight lanes
// that read at once, of two rows, reach all banks.
#pragma once

#include "awq/backend/cuda/codes_q8.cuh"

namespace awq::cuda {

// Where a chunk of a row of x lies in a stage.
template <int kTurn>
__device__ inline int PlaceOfX(int row, int chunk) {
  return row * 256 + (chunk ^ row % 2 * kTurn) * 16;
}

// Units of one chunk of x a lane.
struct UnitsOf32 {
  static constexpr int kUnits = 4;
  static constexpr int kProducts = 2;
  static constexpr int kChunks = 1;
  static constexpr int kTurn = 4;
  // The chunk that lane 4r + q reads first, or, second, in every other unit.
  __device__ static int Chunk(int q, bool second) { return q + (second ? 4 : 0); }
  // Whether unit `unit` reads there, and how much further on.
  __device__ static bool IsSecond(int unit, int /*chunk*/) { return unit % 2 != 0; }
  __device__ static int Further(int unit) { return unit / 2 * 128; }
  // The B operand of a unit's product i.
  __device__ static uint32_t First(const uint32_t (&x)[kChunks][4], int i) { return x[0][2 * i]; }
  __device__ static uint32_t Last(const uint32_t (&x)[kChunks][4], int i) {
    return x[0][2 * i + 1];
  }
};

// Of layout.h, by lanes: 16 bytes are two units.
template <int kGroups_, bool kZeros>
struct StagedQ4 : UnitsOf32 {
  static constexpr bool kBlocks = true;  // whether weights are blocks of 16 outputs × 128 inputs
  static constexpr int kGroups = kGroups_;  // in 128 inputs
  static constexpr int kMeta = 2 * kTileN + (kZeros ? kTileN : 0);
  static constexpr int kCodeBytes = cuda::kCodeBytes;
  static constexpr int kMetaBytes = kGroups * kMeta;

  // What a lane has of 16 outputs.
  template <typename T>
  struct Tile {
    CodePairs<T> pairs;
    uint32_t scales;
    uint32_t codes[4];
    // codes_at, meta_at: where the tile's lie in the stage.
    __device__ void Load(int unit, uint32_t codes_at, uint32_t meta_at, int lane, float /*scale*/) {
      const int r = lane / 4;  // its outputs are 2r and 2r + 1
      if (unit % 2 == 0) LoadShared(codes_at + 16 * PlaceOfLane(lane) + unit / 2 * 512, codes);
      if (unit % (kUnits / kGroups) != 0) return;
      const uint32_t meta = meta_at + unit * kGroups / kUnits * kMeta;
      scales = LoadSharedOne<uint32_t>(meta + 4 * r);
      const uint32_t zeros = kZeros ? LoadSharedOne<uint16_t>(meta + 2 * kTileN + 2 * r) : 0x0808u;
      pairs.SetZeros(zeros & 0xff, zeros >> 8);
    }
    __device__ void Expand(int unit, int i, uint32_t (&w)[4]) const {
      const int byte = 8 * (unit % 2);
      pairs.Expand(codes[2 * i] >> byte, codes[2 * i + 1] >> byte, w);
      CodePairs<T>::Scale(scales, w);
    }
  };
};

// Of layout_q8.h, by lanes: 16 bytes of each of two outputs are a unit. Scales are f32 there, and
// count `scale`, so that 16 bits hold them.
template <int kGroups_>
struct StagedQ8 {
  static constexpr bool kBlocks = true;
  static constexpr int kGroups = kGroups_;
  static constexpr int kCodeBytes = Q8Shape::kCodes;
  static constexpr int kMetaBytes = kGroups * Q8Shape::kMeta;
  static constexpr int kUnits = 2;
  static constexpr int kProducts = 4;
  static constexpr int kChunks = 2;
  static constexpr int kTurn = 1;

  __device__ static int Chunk(int q, bool second) { return 2 * q + (second ? 1 : 0); }
  __device__ static bool IsSecond(int /*unit*/, int chunk) { return chunk != 0; }
  __device__ static int Further(int unit) { return unit * 128; }
  __device__ static uint32_t First(const uint32_t (&x)[kChunks][4], int i) { return x[0][i]; }
  __device__ static uint32_t Last(const uint32_t (&x)[kChunks][4], int i) { return x[1][i]; }

  template <typename T>
  struct Tile {
    uint32_t even[4], odd[4];
    uint32_t scales, zeros;
    __device__ void Load(int unit, uint32_t codes_at, uint32_t meta_at, int lane, float scale) {
      const int r = lane / 4;
      LoadShared(codes_at + 16 * PlaceOfLane(lane) + unit * 1024, even);
      LoadShared(codes_at + 16 * PlaceOfLane(lane) + unit * 1024 + 512, odd);
      if (unit % (kUnits / kGroups) != 0) return;
      const uint32_t meta = meta_at + unit * kGroups / kUnits * Q8Shape::kMeta;
      const float even_scale = __uint_as_float(LoadSharedOne<uint32_t>(meta + 8 * r));
      const float odd_scale = __uint_as_float(LoadSharedOne<uint32_t>(meta + 8 * r + 4));
      const __half2 pair = __floats2half2_rn(even_scale * scale, odd_scale * scale);
      scales = reinterpret_cast<const uint32_t&>(pair);
      zeros = LoadSharedOne<uint16_t>(meta + 4 * kTileN + 2 * r);
    }
    __device__ void Expand(int /*unit*/, int i, uint32_t (&w)[4]) const {
      ExpandQ8<T>(even[i], odd[i], zeros, w);
      CodePairs<T>::Scale(scales, w);
    }
  };
};

// Rows of 16-bit floats as they are stored: what a row of x looks like, with other rows turned.
struct StagedDense : UnitsOf32 {
  static constexpr bool kBlocks = false;
  static constexpr int kCodeBytes = 256 * kTileN;
  static constexpr int kMetaBytes = 0;

  // Eight lanes read two rows, two apart, at once.
  __device__ static int PlaceOfWeights(int row, int chunk) {
    return row * 256 + (chunk ^ row / 2 % 2 * 4) * 16;
  }
  template <typename T>
  struct Tile {
    uint32_t even[4], odd[4];
    __device__ void Load(int unit, uint32_t at, uint32_t /*meta_at*/, int lane, float /*scale*/) {
      const int row = lane / 4 * 2;
      const int chunk = lane % 4 + 4 * unit;
      LoadShared(at + PlaceOfWeights(row, chunk), even);
      LoadShared(at + PlaceOfWeights(row + 1, chunk), odd);
    }
    __device__ void Expand(int /*unit*/, int i, uint32_t (&w)[4]) const {
      w[0] = even[2 * i];
      w[1] = odd[2 * i];
      w[2] = even[2 * i + 1];
      w[3] = odd[2 * i + 1];
    }
  };
};

}  // namespace awq::cuda
