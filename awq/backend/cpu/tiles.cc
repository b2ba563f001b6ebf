#include "awq/backend/cpu/tiles.h"

#include <algorithm>

#include "awq/backend/cpu/kernels.h"
#include "awq/backend/cpu/tile_multiply.h"
#include "awq/backend/cpu/tile_pack.h"

#ifdef AWQ_HAS_TILES
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace awq::cpu {
namespace {

constexpr int64_t kStepDepth = 256;        // of the right side, 32 KiB of L1,
constexpr int64_t kShortStepDepth = 128;   // or, in three parts, 24 KiB
constexpr int64_t kItemBytes = 640 << 10;  // of the left side, of L2, that meet all columns
constexpr int64_t kItemRows = 512;         // at most
constexpr int64_t kChunkRows = 1024;       // packed at a time,
constexpr int64_t kChunkColumns = 2048;    // with
constexpr int64_t kChunkParts = 1536;      // parts of a row: 3 and 6 MiB

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

struct Extent {
  int64_t begin, size;
  int64_t end() const { return begin + size; }
};

// One side of a part of a task, [panel][depth / 32][part][tile].
struct PackedSide {
  const TileOperand& from;
  Extent lanes;
  int parts;  // of an element
  uint16_t* data = nullptr;

  int64_t panels() const { return RoundUp(lanes.size, kPairLanes) / kTileLanes; }
  int64_t DepthSize() const { return parts * kTileSize; }
  int64_t PanelSize(const Extent& depth) const {
    return DivUp(depth.size, kTileDepth) * DepthSize();
  }
  void Allocate(Scratch& scratch, int slot, const Extent& depth) {
    data = scratch.Get<uint16_t>(slot, panels() * PanelSize(depth));
  }
  void Pack(int64_t panel, const Extent& depth, bool left, int task_parts) const {
    uint16_t* to = data + panel * PanelSize(depth);
    for (int64_t k = 0; k < depth.size; k += kTileDepth, to += DepthSize()) {
      PackTile(from, lanes.begin + panel * kTileLanes, depth.begin + k,
               std::min(kTileDepth, depth.size - k), left, task_parts, to);
    }
  }
  // The panels of lanes `first` and `first` + 16 of these from depth k on.
  PanelPair At(int64_t first, int64_t k, const Extent& depth) const {
    const int64_t step = PanelSize(depth);
    return {data + first / kTileLanes * step + k / kTileDepth * DepthSize(), step};
  }
};

struct Chunk {
  const TileTask& task;
  Extent depth;
  PackedSide a, b;
};

// Columns [column, column + 32) of a row of c: the sums, or what c holds and the sums.
AWQ_TILES void StoreRow(const Chunk& chunk, int64_t row, int64_t column, const float* sums) {
  const TileTask& task = chunk.task;
  const bool add = task.add || chunk.depth.begin > 0;
  const float* more = add ? task.c + row * task.c_stride : task.bias;
  for (int64_t at = column; at < std::min(column + kPairLanes, task.b.lanes); at += kTileLanes) {
    const int64_t count = std::min(kTileLanes, task.b.lanes - at);
    const auto mask = static_cast<__mmask16>((1u << count) - 1);
    __m512 sum = _mm512_load_ps(sums + at - column);
    if (more != nullptr) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, more + at));
    _mm512_mask_storeu_ps(task.c + row * task.c_stride + at, mask, sum);
  }
}

// The lines of [p, p + bytes), into L2: tile loads wait for L3 otherwise.
inline void Prefetch(const void* p, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += 64) {
    __builtin_prefetch(static_cast<const char*>(p) + at, 0, 2);
  }
}

// The part `share` of `shares` of what the right side's next step reads.
void PrefetchRight(const PanelPair& next, int64_t elements, int64_t share, int64_t shares) {
  const int64_t lines = DivUp(elements, 32);
  const int64_t begin = lines * share / shares * 32;
  const int64_t end = lines * (share + 1) / shares * 32;
  Prefetch(next.data + begin, 2 * (end - begin));
  Prefetch(next.data + next.step + begin, 2 * (end - begin));
}

// Where StoreRow will write rows [row, row + 32).
void PrefetchSums(const TileTask& task, int64_t row, int64_t column) {
  for (int64_t r = row; r < std::min(row + kPairLanes, task.a.lanes); ++r) {
    const float* at = task.c + r * task.c_stride + column;
    __builtin_prefetch(at, 1, 2);
    __builtin_prefetch(at + kTileLanes, 1, 2);
  }
}

// Rows [row, row + rows) of the chunk times its columns [column, column + 32).
void RunItem(const Chunk& chunk, int64_t row, int64_t rows, int64_t column) {
  alignas(64) float sums[kItemRows * kPairLanes];
  const int64_t first = chunk.a.lanes.begin + row;
  const int64_t first_column = chunk.b.lanes.begin + column;
  if (chunk.task.upper) rows = std::min(rows, first_column + kPairLanes - first);
  if (rows <= 0) return;
  std::fill_n(sums, RoundUp(rows, kPairLanes) * kPairLanes, 0.0f);
  const int64_t step = chunk.b.parts == 3 ? kShortStepDepth : kStepDepth;
  for (int64_t k = 0; k < chunk.depth.size; k += step) {
    const int64_t tiles = DivUp(std::min(step, chunk.depth.size - k), kTileDepth);
    const PanelPair b = chunk.b.At(column, k, chunk.depth);
    const bool last = k + step >= chunk.depth.size;
    const PanelPair next = last ? chunk.b.At(column + kPairLanes, 0, chunk.depth)
                                : chunk.b.At(column, k + step, chunk.depth);
    const int64_t elements = tiles * chunk.b.DepthSize();
    for (int64_t r = 0; r < rows; r += kPairLanes) {
      PrefetchRight(next, elements, r / kPairLanes, DivUp(rows, kPairLanes));
      if (last) PrefetchSums(chunk.task, first + r, first_column);
      MultiplyPanels(chunk.a.parts, chunk.b.parts, chunk.a.At(row + r, k, chunk.depth), b, tiles,
                     sums + r * kPairLanes);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    StoreRow(chunk, first + r, first_column, sums + r * kPairLanes);
  }
}

void RunChunk(Machine& machine, const Chunk& chunk, bool pack_right) {
  const int parts = chunk.task.parts;
  const int64_t right = pack_right ? chunk.b.panels() : 0;
  machine.pool.For(right + chunk.a.panels(), 4, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      if (p < right) {
        chunk.b.Pack(p, chunk.depth, false, parts);
      } else {
        chunk.a.Pack(p - right, chunk.depth, true, parts);
      }
    }
  });
  const int64_t columns = DivUp(chunk.b.lanes.size, kPairLanes);
  const int64_t most = std::clamp<int64_t>(kItemBytes / (2 * chunk.depth.size * chunk.a.parts),
                                           kPairLanes, kItemRows);
  const int64_t rows =
      RoundUp(DivUp(chunk.a.lanes.size, DivUp(chunk.a.lanes.size, most)), kPairLanes);
  machine.pool.For(DivUp(chunk.a.lanes.size, rows) * columns, 1, [&](int64_t begin, int64_t end) {
    ConfigureTiles();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / columns * rows;
      RunItem(chunk, row, std::min(rows, chunk.a.lanes.size - row), i % columns * kPairLanes);
    }
    ReleaseTiles();
  });
}

// Calls run(extent) for parts of [0, size), of `most` at most and about equal.
template <typename Run>
void ForExtents(int64_t size, int64_t most, int64_t unit, const Run& run) {
  const int64_t step = RoundUp(DivUp(size, DivUp(size, most)), unit);
  for (int64_t at = 0; at < size; at += step) run(Extent{at, std::min(step, size - at)});
}

}  // namespace

bool TilesPay(const Machine& machine, int64_t m, int64_t n, int64_t depth) {
  static const bool granted = GrantedTiles();
  return machine.tiles && granted && m >= 16 && n >= 16 && depth >= 32;
}

void TileProduct(Machine& machine, const TileTask& task) {
  AWQ_DCHECK(!task.b.bf16 || task.parts == 3);
  const int b_parts = PartsOf(task.b, task.parts);
  ForExtents(task.b.lanes, kChunkColumns, kPairLanes, [&](Extent columns) {
    ForExtents(task.depth, kChunkParts / task.parts, kShortStepDepth, [&](Extent depth) {
      PackedSide b{task.b, columns, b_parts};
      b.Allocate(machine.scratch, 1, depth);
      bool packed = false;
      ForExtents(task.a.lanes, kChunkRows, kPairLanes, [&](Extent rows) {
        if (task.upper && rows.begin >= columns.end()) return;
        PackedSide a{task.a, rows, task.parts};
        a.Allocate(machine.scratch, 0, depth);
        RunChunk(machine, {task, depth, a, b}, !packed);
        packed = true;
      });
    });
  });
}

}  // namespace awq::cpu

#else

namespace awq::cpu {

bool TilesPay(const Machine&, int64_t, int64_t, int64_t) { return false; }
void TileProduct(Machine&, const TileTask&) {}

}  // namespace awq::cpu

#endif
