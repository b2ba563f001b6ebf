// The 4- and 8-bit linear for many rows of x by mma.sync: yᵀ = W·xᵀ in tiles, for GPUs without
// wgmma.
//
// A thread block of eight warps makes tiles of 128 or 256 outputs × 32 to 128 rows of x, one after
// another. Weights and x come through a ring in shared memory, 128 inputs a stage, by copies that
// run ahead of the tile in work (staged_ring.cuh). A lane reads codes as they lie,
// expands them (staged_codes.cuh) into the A operand, multiplied with the scale of their group, and
// x as the B operand, 16 bytes at a time.
//
// Where there are fewer tiles than thread blocks, each tile's inputs are cut into parts, whose sums
// meet in L2: the block that comes last adds them up in the order of the parts.
#pragma once

#include <cuda/atomic>

#include "awq/backend/cuda/routed_store.cuh"
#include "awq/backend/cuda/staged_codes.cuh"
#include "awq/backend/cuda/staged_ring.cuh"
#include "awq/backend/cuda/tile_store.cuh"
#include "awq/backend/cuda/wgmma.cuh"

namespace awq::cuda {

// Adds up the sums of all parts of a tile in the last of its blocks; false in the others.
template <typename Size>
__device__ bool MeetParts(const StagedArgs& a, const StagedItem& item,
                          float (&acc)[Size::kTiles][Size::kCols][4]) {
  constexpr int kQuads = Size::kTiles * Size::kCols;
  const int tile = item.m_tile * a.n_tiles + item.n_tile;
  auto* sums = reinterpret_cast<float4*>(a.sums) +
               int64_t{tile} * a.parts * kQuads * Size::kThreads + threadIdx.x;
  float4* mine = sums + item.part * kQuads * Size::kThreads;
#pragma unroll
  for (int t = 0; t < Size::kTiles; ++t) {
#pragma unroll
    for (int c = 0; c < Size::kCols; ++c) {
      const float(&v)[4] = acc[t][c];
      mine[(t * Size::kCols + c) * Size::kThreads] = make_float4(v[0], v[1], v[2], v[3]);
    }
  }
  __syncthreads();
  bool last = false;
  if (threadIdx.x == 0) {
    ::cuda::atomic_ref<int, ::cuda::thread_scope_device> met(a.met[tile]);
    last = met.fetch_add(1, ::cuda::memory_order_acq_rel) == a.parts - 1;
    if (last) met.store(0, ::cuda::memory_order_relaxed);
  }
  // Not through shared memory, which the ring may have whole.
  if (__syncthreads_or(last) == 0) return false;
#pragma unroll
  for (int t = 0; t < Size::kTiles; ++t) {
#pragma unroll
    for (int c = 0; c < Size::kCols; ++c) {
      float(&v)[4] = acc[t][c];
#pragma unroll
      for (float& s : v) s = 0.0f;
    }
  }
#pragma unroll 1
  for (int part = 0; part < a.parts; ++part) {
#pragma unroll
    for (int t = 0; t < Size::kTiles; ++t) {
#pragma unroll
      for (int c = 0; c < Size::kCols; ++c) {
        const float4 v = __ldcg(&sums[(t * Size::kCols + c) * Size::kThreads]);
        acc[t][c][0] += v.x;
        acc[t][c][1] += v.y;
        acc[t][c][2] += v.z;
        acc[t][c][3] += v.w;
      }
    }
    sums += kQuads * Size::kThreads;
  }
  return true;
}

template <typename T, typename Codes, typename Size, typename Item>
__device__ inline void RunStaged(const StagedArgs& a) {
  constexpr int kTiles = Size::kTiles;
  constexpr int kCols = Size::kCols;
  constexpr int kCodeBytes = Codes::kCodeBytes;
  constexpr int kMetaBytes = Codes::kMetaBytes;
  constexpr int kStageBytes = Size::StageBytes(kCodeBytes + kMetaBytes);
  constexpr int kStages = Size::Stages(kCodeBytes + kMetaBytes);
  // Else once the tensor cores have something to do.
  constexpr bool kCopiesFirst = Size::kBlocks > 1;
  extern __shared__ __align__(16) uint8_t ring[];
  const uint32_t base = SharedAddress(ring);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int r = lane / 4;
  const int q = lane % 4;
  const int first_tile = warp % Size::kOutputWarps * kTiles;
  const int first_row = warp / Size::kOutputWarps * 8 * kCols;

  AllowNextKernel();
  if (Item::kRouted) WaitForPreviousKernel();  // it has said what there is to do
  const int items = Item::Count(a);
  StagedCopier<Size, Codes, Item> copier(a, items);
  {
    auto ahead = copier;
    for (int s = 0; s < kStages - 1 && ahead.HasStep(); ++s) {
      ahead.CopyWeights(a, base + s * kStageBytes);
      ahead.Advance(a);
    }
  }
  if (!Item::kRouted) WaitForPreviousKernel();
  for (int s = 0; s < kStages - 1; ++s) {
    if (copier.HasStep()) {
      copier.CopyX(a, base + s * kStageBytes);
      copier.Advance(a);
    }
    AsyncCommit();
  }

  // Of this lane, in a stage.
  const uint32_t codes_at = base + Size::kXBytes + first_tile * kCodeBytes;
  const uint32_t meta_at =
      base + Size::kXBytes + Size::kRowTiles * kCodeBytes + first_tile * kMetaBytes;
  const uint32_t x_at[2] = {base + PlaceOfX<Codes::kTurn>(first_row + r, Codes::Chunk(q, false)),
                            base + PlaceOfX<Codes::kTurn>(first_row + r, Codes::Chunk(q, true))};
  int place = 0;                           // of the stage in work, in bytes
  int free = (kStages - 1) * kStageBytes;  // of the one behind it
  for (int i = Item::FirstOfBlock(a, items); i < items; i = Item::Next(a, i, items)) {
    const Item item(a, i);
    const float scale_unit = item.ScaleUnit(a);
    float acc[kTiles][kCols][4] = {};
    const auto copy = [&] {
      if (copier.HasStep()) {
        copier.CopyWeights(a, base + free);
        copier.CopyX(a, base + free);
        copier.Advance(a);
      }
      AsyncCommit();
    };
#pragma unroll 1
    for (int step = item.begin; step < item.end; ++step) {
      AsyncWait<kStages - 2>();
      __syncthreads();
      if (kCopiesFirst) copy();
      typename Codes::template Tile<T> tiles[kTiles];
#pragma unroll
      for (int unit = 0; unit < Codes::kUnits; ++unit) {
        uint32_t w[kTiles][Codes::kProducts][4];
#pragma unroll
        for (int t = 0; t < kTiles; ++t) {
          tiles[t].Load(unit, codes_at + place + t * kCodeBytes, meta_at + place + t * kMetaBytes,
                        lane, scale_unit);
#pragma unroll
          for (int i = 0; i < Codes::kProducts; ++i) tiles[t].Expand(unit, i, w[t][i]);
        }
#pragma unroll
        for (int c = 0; c < kCols; ++c) {
          uint32_t x[Codes::kChunks][4];
#pragma unroll
          for (int j = 0; j < Codes::kChunks; ++j) {
            LoadShared(x_at[Codes::IsSecond(unit, j)] + place + Codes::Further(unit) + c * 8 * 256,
                       x[j]);
          }
#pragma unroll
          for (int i = 0; i < Codes::kProducts; ++i) {
#pragma unroll
            for (int t = 0; t < kTiles; ++t) {
              Mma<T>(acc[t][c], w[t][i], Codes::First(x, i), Codes::Last(x, i));
            }
          }
        }
        if (unit == 0 && !kCopiesFirst) copy();
      }
      free = place;
      place = place == (kStages - 1) * kStageBytes ? 0 : place + kStageBytes;
    }
    if constexpr (!Item::kRouted) {
      if (a.parts > 1 && !MeetParts<Size>(a, item, acc)) continue;
    }
    const int n = (item.n_tile * Size::kRowTiles + first_tile) * kTileN + 2 * r;
#pragma unroll
    for (int t = 0; t < kTiles; ++t) {
      float sums[4 * kCols];
#pragma unroll
      for (int j = 0; j < 4 * kCols; ++j) sums[j] = acc[t][j / 4][j % 4];
      if constexpr (Item::kRouted) {
        StoreRouted<T, 8 * kCols>(a, item.tile, first_row + 2 * q, n + t * kTileN, sums);
      } else {
        const int m = item.m_tile * Size::kRows + first_row + 2 * q;
        StoreTile<T, 8 * kCols>(a, m, n + t * kTileN, sums);
      }
    }
  }
}

// Item: a StagedItem or a RoutedStagedItem. sm_90a has wide_linear for the former.
template <typename T, typename Codes, typename Size, typename Item = StagedItem>
__global__ void __launch_bounds__(Size::kThreads, Size::kBlocks) StagedLinear(const StagedArgs a) {
  if constexpr (AWQ_SM80 && (Item::kRouted || !AWQ_SM90A)) RunStaged<T, Codes, Size, Item>(a);
}

// Named by rows of x and outputs.
using Size32x128 = StagedSize<1, 4, 1, 2>;
using Size64x128 = StagedSize<1, 8, 1, 2>;
using Size64x256 = StagedSize<2, 8, 1, 1>;
using Size128x128 = StagedSize<2, 8, 2, 1>;
using Size128x256 = StagedSize<2, 16, 1, 1>;

template <typename T, typename Codes, typename Size, typename Item = StagedItem>
StagedKernel StagedKernelOf(const StagedTile& tile) {
  return {tile, &StagedLinear<T, Codes, Size, Item>,
          Size::SharedBytes(Codes::kCodeBytes + Codes::kMetaBytes)};
}

}  // namespace awq::cuda
