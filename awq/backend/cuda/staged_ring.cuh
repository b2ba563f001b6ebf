// What thread blocks of staged_linear are made of, their pieces of work, and the ring that brings
// them weights and x.
#pragma once

#include "awq/backend/cuda/layout.h"
#include "awq/backend/cuda/ptx.cuh"
#include "awq/backend/cuda/staged_codes.cuh"
#include "awq/backend/cuda/staged_launch.h"
#include "awq/backend/cuda/tile_place.cuh"

namespace awq::cuda {

// Eight warps, each of kTiles times 16 outputs and kCols times 8 rows of x; kRowWarps of them make
// the same outputs of other rows. kBlocks: thread blocks that share an SM.
template <int kTiles_, int kCols_, int kRowWarps, int kBlocks_>
struct StagedSize {
  static constexpr int kTiles = kTiles_;
  static constexpr int kCols = kCols_;
  static constexpr int kBlocks = kBlocks_;
  static constexpr int kWarps = kStagedWarps;
  static constexpr int kThreads = kStagedThreads;
  static constexpr int kOutputWarps = kWarps / kRowWarps;
  static constexpr int kRows = 8 * kCols * kRowWarps;
  static constexpr int kRowTiles = kTiles * kOutputWarps;
  static constexpr int kOutputs = kTileN * kRowTiles;

  // A stage of the ring is 128 inputs: x, codes, then scales and zeros.
  static constexpr int kXBytes = kRows * 256;
  AWQ_HD static constexpr int StageBytes(int block_bytes) {
    return kXBytes + kRowTiles * block_bytes;
  }
  // As many as fit on a GPU of 100 KB an SM, of which each thread block costs one; at least two.
  AWQ_HD static constexpr int Stages(int block_bytes) {
    const int fit = (100 / kBlocks - 1) * 1024 / StageBytes(block_bytes);
    return fit < 2 ? 2 : fit > 6 ? 6 : fit;
  }
  static constexpr int SharedBytes(int block_bytes) {
    return Stages(block_bytes) * StageBytes(block_bytes);
  }
};

// A piece of work: a tile, and steps [begin, end) of 128 inputs each.
struct StagedItem : TilePlace {
  static constexpr bool kRouted = false;
  int part, begin, end;
  // The items of a block.
  __device__ static int FirstOfBlock(const StagedArgs&, int /*items*/) {
    return static_cast<int>(blockIdx.x);
  }
  __device__ static int Next(const StagedArgs&, int item, int /*items*/) {
    return item + static_cast<int>(gridDim.x);
  }
  __device__ static int Count(const StagedArgs& a) { return a.m_tiles * a.n_tiles * a.parts; }
  __device__ StagedItem(const StagedArgs& a, int item)
      : TilePlace(a, item / a.parts),
        part(item % a.parts),
        begin(a.blocks_per_row * part / a.parts),
        end(a.blocks_per_row * (part + 1) / a.parts) {}
  __device__ const uint8_t* Weights(const StagedArgs& a) const { return a.blocks; }
  __device__ float ScaleUnit(const StagedArgs& a) const { return a.scale_unit; }
  // Of x, the row behind the last.
  __device__ int EndRow(const StagedArgs& a) const { return a.m; }
};

// A tile of rows of one expert, and of outputs; all of the inputs.
struct RoutedStagedItem {
  static constexpr bool kRouted = true;
  ExpertTile tile;
  int begin = 0;
  int end, n_tile;
  __device__ static int Count(const StagedArgs& a) { return *a.routing.tile_count * a.n_tiles; }
  __device__ RoutedStagedItem(const StagedArgs& a, int item)
      : tile(a.routing.tiles[item / a.n_tiles]), end(a.blocks_per_row), n_tile(item % a.n_tiles) {}
  // Those of experts whose weights have the form that the kernel is for.
  __device__ static int FirstOfBlock(const StagedArgs& a, int items) {
    return Matching(a, static_cast<int>(blockIdx.x), items);
  }
  __device__ static int Next(const StagedArgs& a, int item, int items) {
    return Matching(a, item + static_cast<int>(gridDim.x), items);
  }
  __device__ const uint8_t* Weights(const StagedArgs& a) const {
    return static_cast<const uint8_t*>(a.routing.stack[tile.expert].data);
  }
  __device__ float ScaleUnit(const StagedArgs& a) const {
    return a.routing.stack[tile.expert].scale_unit;
  }
  template <typename Size>
  __device__ int FirstRow() const {
    return tile.begin;
  }
  __device__ int EndRow(const StagedArgs&) const { return tile.end; }

 private:
  __device__ static int Matching(const StagedArgs& a, int item, int items) {
    while (item < items) {
      const int expert = a.routing.tiles[item / a.n_tiles].expert;
      if (a.routing.stack[expert].form == a.routing.form) break;
      item += static_cast<int>(gridDim.x);
    }
    return item;
  }
};

// A thread's share of what is copied, step after step through all items of its block.
template <typename Size, typename Codes, typename Item>
class StagedCopier {
 public:
  __device__ StagedCopier(const StagedArgs& a, int items)
      : item_(Item::FirstOfBlock(a, items)), items_(items) {
    if (HasStep()) Begin(a);
  }
  __device__ bool HasStep() const { return item_ < items_; }

  // Rows past the last are not copied: what their sums are does not matter. Inputs are, as zeros.
  __device__ void CopyWeights(const StagedArgs& a, uint32_t stage) const {
    const int thread = static_cast<int>(threadIdx.x);
    if constexpr (Codes::kBlocks) {
      const int64_t row_bytes = int64_t{a.blocks_per_row} * kBlockBytes;
      const uint32_t codes = stage + Size::kXBytes + thread * 16;
#pragma unroll
      for (int j = 0; j < kCodePieces; ++j) {
        if (j * kTilesAtOnce >= row_tiles_left_) continue;
        AsyncCopy16(codes + j * Size::kThreads * 16, weights_ + j * kTilesAtOnce * row_bytes, 16);
      }
      if (meta_there_) {
        AsyncCopy16(stage + Size::kXBytes + Size::kRowTiles * kCodeBytes + thread * 16, meta_, 16);
      }
    } else {
      const uint32_t to = stage + Size::kXBytes + Codes::PlaceOfWeights(FirstRow(), Chunk());
      const int64_t step = 2 * int64_t{kRowsAtOnce} * a.k;
      const int bytes = inputs_left_ > 0 ? 16 : 0;
#pragma unroll
      for (int j = 0; j < Size::kRowTiles; ++j) {  // as many rows at once as a tile has
        if (j >= row_tiles_left_) continue;
        AsyncCopy16(to + j * kRowsAtOnce * 256, weights_ + j * step, bytes);
      }
    }
  }
  __device__ void CopyX(const StagedArgs& a, uint32_t stage) const {
    const uint32_t to = stage + PlaceOfX<Codes::kTurn>(FirstRow(), Chunk());
    const int64_t step = 2 * kRowsAtOnce * a.x_stride;
    const int bytes = inputs_left_ > 0 ? 16 : 0;
#pragma unroll
    for (int j = 0; j < kXPieces; ++j) {
      if (j * kRowsAtOnce >= rows_left_) continue;
      AsyncCopy16(to + j * kRowsAtOnce * 256, x_ + j * step, bytes);
    }
  }
  __device__ void Advance(const StagedArgs& a) {
    weights_ += Codes::kBlocks ? kBlockBytes : 2 * kBlockK;
    meta_ += kBlockBytes;
    x_ += 2 * kBlockK;
    inputs_left_ -= kBlockK;
    if (--steps_left_ > 0) return;
    item_ = Item::Next(a, item_, items_);
    if (HasStep()) Begin(a);
  }

 private:
  static constexpr int kCodeBytes = Codes::kCodeBytes;
  static constexpr int kMetaBytes = Codes::kMetaBytes;
  static constexpr int kBlockBytes = kCodeBytes + kMetaBytes;
  static constexpr int kMetaPieces = kMetaBytes / 16;
  static_assert(Size::kRowTiles * kMetaPieces <= Size::kThreads);
  static_assert(Codes::kBlocks || Size::kThreads / 16 == kTileN);
  static constexpr int kPiecesOfTile = kCodeBytes / 16;
  static constexpr int kTilesAtOnce = Size::kThreads / kPiecesOfTile;
  static constexpr int kCodePieces = Size::kRowTiles / kTilesAtOnce;
  static constexpr int kRowsAtOnce = Size::kThreads / 16;
  static constexpr int kXPieces = Size::kRows / kRowsAtOnce;

  __device__ static int FirstRow() { return static_cast<int>(threadIdx.x) / 16; }
  __device__ static int Chunk() { return static_cast<int>(threadIdx.x) % 16; }

  __device__ void Begin(const StagedArgs& a) {
    const Item item(a, item_);
    const int thread = static_cast<int>(threadIdx.x);
    steps_left_ = item.end - item.begin;
    const int first_tile = item.n_tile * Size::kRowTiles;
    if constexpr (Codes::kBlocks) {
      const auto block = [&](int row_tile) {
        return item.Weights(a) + (int64_t{row_tile} * a.blocks_per_row + item.begin) * kBlockBytes;
      };
      const int tile = first_tile + thread / kPiecesOfTile;
      row_tiles_left_ = a.row_tiles - tile;
      weights_ = block(tile) + thread % kPiecesOfTile * 16;
      const int meta_tile = first_tile + thread / kMetaPieces;
      meta_there_ = thread < Size::kRowTiles * kMetaPieces && meta_tile < a.row_tiles;
      meta_ = block(meta_tile) + kCodeBytes + thread % kMetaPieces * 16;
    } else {
      const int64_t output = int64_t{first_tile} * kTileN + FirstRow();
      row_tiles_left_ = static_cast<int>((a.n - output + kTileN - 1) / kTileN);
      weights_ = item.Weights(a) + 2 * (output * a.k + item.begin * kBlockK + 8 * Chunk());
    }
    const int row = item.template FirstRow<Size>() + FirstRow();
    const int input = item.begin * kBlockK + 8 * Chunk();
    rows_left_ = item.EndRow(a) - row;
    inputs_left_ = a.k - input;
    x_ = static_cast<const uint8_t*>(a.x) + 2 * (row * a.x_stride + input);
  }

  int item_, items_;
  int steps_left_ = 0;
  const uint8_t* weights_ = nullptr;
  const uint8_t* meta_ = nullptr;
  const uint8_t* x_ = nullptr;
  int row_tiles_left_ = 0, rows_left_ = 0, inputs_left_ = 0;
  bool meta_there_ = false;
};

}  // namespace awq::cuda
