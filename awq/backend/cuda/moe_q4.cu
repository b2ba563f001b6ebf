// The W4 linear of routed experts: tiles of rows of one expert, each by tensor cores.
//
// A thread block multiplies some row tiles of 16 outputs of one expert with up to 8 · kCols of the
// pairs that go to it. The warps of a row tile share its blocks of 128 inputs (layout.h), straight
// from memory to registers, and add their sums at the end, as the direct kernel of a single weight
// does (direct_q4.cuh). Which tile is whose is worked out on the device, so that a step can be
// recorded whatever it routes.
#include <algorithm>

#include "awq/backend/cuda/codes.cuh"
#include "awq/backend/cuda/expert_tiles.h"
#include "awq/backend/cuda/experts.h"
#include "awq/backend/cuda/gate.cuh"
#include "awq/backend/cuda/numeric.cuh"

namespace awq::cuda {
namespace {

constexpr int kWarps = 8;

struct TileArgs {
  const StackedWeight* stack;
  const int* experts;  // of each pair, where each is a tile of its own; else null
  const int* tile_count;
  const ExpertTile* tiles;
  const int* pairs;
  const void* x;
  int64_t x_stride;
  void* y;
  int64_t y_stride;
  int pairs_per_row, n, k, blocks_per_row;
  int gate;  // an Activation, or -1
};

// grid    (row tiles / those of a block, most tiles)
// block   8 warps, kSplit a row tile: each every kSplit-th block of 128 inputs, the next asked for
//         when one is multiplied (before costs registers, so warps an SM, and is slower)
// lane l  holds outputs l/4 of the even and odd rows, inputs 8(l%4) … of 32 (layout.h)
template <typename T, int kGroups, bool kZeros, int kCols, int kSplit>
__global__ void __launch_bounds__(32 * kWarps) TileKernel(const TileArgs a) {
  constexpr int kRowTiles = kWarps / kSplit;
  __shared__ float sums[kWarps][kCols * 4][32];
  BeginKernel();
  const int at = static_cast<int>(blockIdx.y);
  const bool alone = a.experts != nullptr;
  if (!alone && at >= *a.tile_count) return;
  const ExpertTile tile = alone ? ExpertTile{a.experts[at], at, at + 1} : a.tiles[at];
  const auto pair_of = [&](int row) { return alone ? row : a.pairs[row]; };
  const StackedWeight& w = a.stack[tile.expert];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int r = lane / 4;
  const int q = lane % 4;
  const int place = 16 * PlaceOfLane(lane);
  constexpr int kMeta = 2 * kTileN + (kZeros ? kTileN : 0);
  constexpr int kBlockBytes = kCodeBytes + kGroups * kMeta;
  const int row_tile = static_cast<int>(blockIdx.x) * kRowTiles + warp / kSplit;
  const auto* blocks = static_cast<const uint8_t*>(w.data) +
                       int64_t{min(row_tile, (a.n - 1) / kTileN)} * a.blocks_per_row * kBlockBytes;
  uint4 codes[2];
  uint32_t scales[kGroups];
  uint32_t zeros[kGroups];
  const auto load = [&](int b) {
    if (b >= a.blocks_per_row) return;
    const uint8_t* block = blocks + int64_t{b} * kBlockBytes;
    codes[0] = LoadStream(block + place);
    codes[1] = LoadStream(block + 512 + place);
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      const uint8_t* meta = block + kCodeBytes + g * kMeta;
      scales[g] = LoadOnce<uint32_t>(meta + 4 * r);
      zeros[g] = kZeros ? LoadOnce<uint16_t>(meta + 32 + 2 * r) : 0x0808u;
    }
  };
  load(warp % kSplit);

  // This lane's row of x in each tile of 8; rows past the last repeat it.
  const T* x[kCols];
#pragma unroll
  for (int c = 0; c < kCols; ++c) {
    const int pair = pair_of(min(tile.begin + 8 * c + r, tile.end - 1));
    x[c] = static_cast<const T*>(a.x) + pair / a.pairs_per_row * a.x_stride + 8 * q;
  }
  float total[kCols][4] = {};
  for (int b = warp % kSplit; b < a.blocks_per_row; b += kSplit) {
    uint4 xs[kCols][4];
#pragma unroll
    for (int part = 0; part < 4; ++part) {
      const int at = b * kBlockK + 32 * part;
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        xs[c][part] = make_uint4(0, 0, 0, 0);
        if (at + 8 * q < a.k) xs[c][part] = *reinterpret_cast<const uint4*>(x[c] + at);
      }
    }
#pragma unroll
    for (int g = 0; g < kGroups; ++g) {
      CodePairs<T> pairs;
      pairs.SetZeros(zeros[g] & 0xff, zeros[g] >> 8);
      float sum[kCols][4] = {};
#pragma unroll
      for (int u = 0; u < 4 / kGroups; ++u) {  // 32 inputs each
        const int part = g * (4 / kGroups) + u;
        const uint4& half = codes[part / 2];
        const int byte = 8 * (part % 2);
        uint32_t a_operand[4];
        pairs.Expand(half.x >> byte, half.y >> byte, a_operand);
#pragma unroll
        for (int c = 0; c < kCols; ++c) Mma<T>(sum[c], a_operand, xs[c][part].x, xs[c][part].y);
        pairs.Expand(half.z >> byte, half.w >> byte, a_operand);
#pragma unroll
        for (int c = 0; c < kCols; ++c) Mma<T>(sum[c], a_operand, xs[c][part].z, xs[c][part].w);
      }
      const float2 scale = __half22float2(reinterpret_cast<const __half2&>(scales[g]));
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        total[c][0] += scale.x * sum[c][0];
        total[c][1] += scale.x * sum[c][1];
        total[c][2] += scale.y * sum[c][2];
        total[c][3] += scale.y * sum[c][3];
      }
    }
    load(b + kSplit);
  }
#pragma unroll
  for (int c = 0; c < kCols; ++c) {
#pragma unroll
    for (int j = 0; j < 4; ++j) sums[warp][c * 4 + j][lane] = total[c][j];
  }
  __syncthreads();
  for (int e = static_cast<int>(threadIdx.x); e < kRowTiles * kCols * 128; e += 32 * kWarps) {
    const int from = e % 32;
    const int j = e / 32 % 4;
    const int t = e / (kCols * 128);
    const int row = tile.begin + e / 128 % kCols * 8 + 2 * (from % 4) + j % 2;
    const int n = (static_cast<int>(blockIdx.x) * kRowTiles + t) * kTileN + from / 4 * 2 + j / 2;
    if (row >= tile.end || n >= a.n) continue;
    const auto sum = [&](int of_lane) {
      float y = 0;
#pragma unroll
      for (int i = 0; i < kSplit; ++i) y += sums[t * kSplit + i][of_lane][from];
      return y;
    };
    const int of_lane = e / 32 % (kCols * 4);
    if (a.gate >= 0) {
      if (j >= 2) continue;  // what a lane has of the odd outputs is up
      const GatedOutput gated{a.y, a.y_stride, a.n, a.gate, w.scale};
      StoreGated<T>(gated, pair_of(row), n, sum(of_lane), sum(of_lane + 2));
      continue;
    }
    const float y = sum(of_lane);
    static_cast<T*>(a.y)[pair_of(row) * a.y_stride + n] = FromFloat<T>(y * w.scale);
  }
}

// Tiles of 8 rows while experts have few, of 32 when they share more.
int ColsFor(int64_t pairs, int64_t experts) { return pairs <= 16 * experts ? 1 : 4; }

// Whether each pair is a tile of its own: one token's experts differ, and so do most of few pairs.
// That saves a kernel which plans.
bool AreAlone(int64_t tokens, int64_t pairs, int64_t experts) {
  return tokens == 1 || 8 * pairs <= experts;
}

// How many warps share a row tile: a thread block, which has to find its weight first, then has
// some blocks for each of them.
int SplitFor(int64_t blocks_per_row) { return blocks_per_row <= 8 ? 2 : 4; }

template <typename T, int kCols>
auto ChooseKernel(const Q4Shape& shape, int split) {
  return WithScheme(shape, [&](auto groups, auto zeros) {
    return split == 2 ? &TileKernel<T, groups, zeros, kCols, 2>
                      : &TileKernel<T, groups, zeros, kCols, 4>;
  });
}
template <typename T>
auto ChooseKernel(const Q4Shape& shape, int cols, int split) {
  return cols == 1 ? ChooseKernel<T, 1>(shape, split) : ChooseKernel<T, 4>(shape, split);
}

}  // namespace

bool SupportsTiles(const Stack& w, const TensorView& x, const TensorView& y, int arch) {
  const bool type =
      (x.dtype == DType::kF16 || (x.dtype == DType::kBF16 && arch >= 80)) && x.dtype == y.dtype;
  const bool readable =
      x.strides[0] % 8 == 0 && w.k() % 8 == 0 && reinterpret_cast<uintptr_t>(x.data) % 16 == 0;
  return type && readable && w.q4().n > 0;
}

int64_t TileWorkspace(const Routing& routing, int64_t experts) {
  const int64_t pairs = routing.pairs.dim(0);
  return ExpertTiles::NumBytes(pairs, experts, 8 * ColsFor(pairs, experts));
}

TilePlan PlanTiles(const Queue& queue, const Routing& routing, int64_t experts, void* workspace) {
  const int64_t pairs = routing.pairs.dim(0);
  const TilePlan plan{AreAlone(routing.experts.dim(0), pairs, experts), ColsFor(pairs, experts),
                      ExpertTiles(workspace)};
  if (!plan.alone) PlanExpertTiles(queue, routing, experts, 8 * plan.cols, plan.tiles);
  return plan;
}

void TiledMoeLinear(const Queue& queue, const Stack& w, const Routing& routing,
                    const TilePlan& plan, const TensorView& x, const TensorView& y,
                    std::optional<Activation> gate) {
  const int64_t pairs = y.dim(0);
  const int cols = plan.cols;
  const Q4Shape& shape = w.q4();
  const TileArgs args{.stack = w.on_device(),
                      .experts = plan.alone ? routing.experts.As<const int>() : nullptr,
                      .tile_count = plan.tiles.count,
                      .tiles = plan.tiles.tiles,
                      .pairs = routing.pairs.As<const int>(),
                      .x = x.data,
                      .x_stride = x.strides[0],
                      .y = y.data,
                      .y_stride = y.strides[0],
                      .pairs_per_row = static_cast<int>(pairs / x.dim(0)),
                      .n = static_cast<int>(shape.n),
                      .k = static_cast<int>(shape.k),
                      .blocks_per_row = static_cast<int>(shape.BlocksPerRow()),
                      .gate = gate ? static_cast<int>(*gate) : -1};
  const int split = SplitFor(shape.BlocksPerRow());
  const int row_tiles = kWarps / split;
  const dim3 grid(
      static_cast<unsigned>((shape.RowTiles() + row_tiles - 1) / row_tiles),
      static_cast<unsigned>(plan.alone ? pairs : ExpertTiles::Most(pairs, w.size(), 8 * cols)));
  if (x.dtype == DType::kF16) {
    Launch(queue, ChooseKernel<__half>(shape, cols, split), grid, 32 * kWarps, 0, args);
  } else {
    Launch(queue, ChooseKernel<__nv_bfloat16>(shape, cols, split), grid, 32 * kWarps, 0, args);
  }
}

}  // namespace awq::cuda
