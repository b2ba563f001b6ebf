// Causal attention over the paged cache, with an online softmax over blocks of kKeys keys.
//
// An item is one kv head of one sequence and up to kRows of its query rows: the tokens of this step times
// the H/G query heads that share the kv head, token-major. Many rows: keys and values of a block are
// expanded into f32 tiles once and both products run in registers tiles (gemm-inl.h). Few rows (decode):
// dot products straight from the cache, whose reading is then the cost.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "awq/backend/cpu/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "awq/backend/cpu/attention.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "awq/backend/cpu/gemm-inl.h"
#include "awq/backend/cpu/simd-inl.h"
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace awq::cpu::HWY_NAMESPACE {
namespace {

constexpr int64_t kKeys = 128;
constexpr int64_t kRows = 8 * kTileRows;
constexpr int64_t kFewRows = 8;

// One sequence and kv head of the cache.
struct Head {
  const PagedKv& cache;
  const int32_t* pages;
  int64_t head;
  // Element offset of token p.
  int64_t At(int64_t p) const {
    const int64_t size = cache.page_size();
    return ((pages[p / size] * cache.kv_heads() + head) * size + p % size) * cache.keys.dim(3);
  }
};

// The running state of an item's rows.
struct Rows {
  int64_t count;      // query rows
  int64_t d;          // head size
  int64_t d_stride;   // d rounded up to whole tiles
  std::vector<float> q;       // few rows: [count][d_stride]; many: packed panels [d][height]
  std::vector<float> scores;  // [rows][kKeys]
  std::vector<float> sums;    // [rows][d_stride]: Σ weight · value so far
  std::vector<float> max;     // [rows]
  std::vector<float> total;   // [rows]: Σ weight
  std::vector<float> tile;

  Rows(int64_t count, int64_t d)
      : count(count), d(d), d_stride(RoundUp(d, kTileColumns)) {
    const auto rows = static_cast<size_t>(PackedRows(count));
    const auto stride = static_cast<size_t>(d_stride);
    q.resize(rows * stride);
    scores.resize(rows * kKeys);
    sums.resize(rows * stride);
    max.assign(rows, -std::numeric_limits<float>::infinity());
    total.assign(rows, 0.0f);
    // Room to align the start.
    tile.resize(static_cast<size_t>(std::max(d, kKeys) * kTileColumns) + 16);
  }
  float* Tile() {
    return reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(tile.data()) + 63) & ~uintptr_t{63});
  }
};

// Σ a[i]·b[i] over whole vectors.
template <typename T>
HWY_INLINE float Dot(const float* a, const T* b, int64_t n) {
  const DF d;
  VF sum0 = hn::Zero(d);
  VF sum1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    sum0 = hn::MulAdd(hn::LoadU(d, a + i), LoadVector(b + i), sum0);
    sum1 = hn::MulAdd(hn::LoadU(d, a + i + kLanes), LoadVector(b + i + kLanes), sum1);
  }
  if (i + kLanes <= n) {
    sum0 = hn::MulAdd(hn::LoadU(d, a + i), LoadVector(b + i), sum0);
    i += kLanes;
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (; i < n; ++i) sum += a[i] * ToFloat(b[i]);
  return sum;
}

HWY_INLINE void ScoresFewRows(const Head& head, Rows& rows, int64_t first, int64_t count) {
  for (int64_t s = 0; s < count; ++s) {
    WithType(head.cache.keys, head.At(first + s), [&](const auto* key) HWY_ATTR {
      for (int64_t r = 0; r < rows.count; ++r) {
        rows.scores[static_cast<size_t>(r * kKeys + s)] =
            Dot(rows.q.data() + r * rows.d_stride, key, rows.d);
      }
    });
  }
}

HWY_INLINE void MixFewRows(const Head& head, Rows& rows, int64_t first, int64_t count) {
  const DF d;
  for (int64_t s = 0; s < count; ++s) {
    WithType(head.cache.values, head.At(first + s), [&](const auto* value) HWY_ATTR {
      for (int64_t r = 0; r < rows.count; ++r) {
        const float weight = rows.scores[static_cast<size_t>(r * kKeys + s)];
        float* to = rows.sums.data() + r * rows.d_stride;
        int64_t i = 0;
        for (; i + kLanes <= rows.d; i += kLanes) {
          const VF sum = hn::MulAdd(hn::Set(d, weight), LoadVector(value + i), hn::LoadU(d, to + i));
          hn::StoreU(sum, d, to + i);
        }
        for (; i < rows.d; ++i) to[i] += weight * ToFloat(value[i]);
      }
    });
  }
}

HWY_INLINE void ScoresManyRows(const Head& head, Rows& rows, int64_t first, int64_t count) {
  std::fill(rows.scores.begin(), rows.scores.end(), 0.0f);
  std::vector<float> key(static_cast<size_t>(rows.d));
  float* tile = rows.Tile();
  for (int64_t column = 0; column < count; column += kTileColumns) {
    for (int64_t s = 0; s < kTileColumns; ++s) {
      // Columns past the last key repeat it; nobody reads their scores.
      const int64_t p = first + std::min(column + s, count - 1);
      LoadFloats(head.cache.keys, head.At(p), rows.d, key.data());
      for (int64_t i = 0; i < rows.d; ++i) tile[i * kTileColumns + s] = key[static_cast<size_t>(i)];
    }
    for (int64_t r = 0; r < rows.count; r += kTileRows) {
      PanelF32(PanelHeight(rows.count - r), rows.q.data() + r * rows.d, tile, rows.d,
               rows.scores.data() + r * kKeys + column, kKeys);
    }
  }
}

HWY_INLINE void MixManyRows(const Head& head, Rows& rows, int64_t first, int64_t count) {
  float* tile = rows.Tile();
  for (int64_t column = 0; column < rows.d; column += kTileColumns) {
    const int64_t width = std::min<int64_t>(kTileColumns, rows.d - column);
    for (int64_t s = 0; s < count; ++s) {
      float* to = tile + s * kTileColumns;
      LoadFloats(head.cache.values, head.At(first + s) + column, width, to);
      std::fill(to + width, to + kTileColumns, 0.0f);
    }
    for (int64_t r = 0; r < rows.count; r += kTileRows) {
      const float* weights = rows.scores.data() + r * kKeys;
      float* to = rows.sums.data() + r * rows.d_stride + column;
      const int height = PanelHeight(rows.count - r);
      if (height == kTileRows) {
        TileF32<kTileRows, kKeys, 1>(weights, tile, count, to, rows.d_stride);
      } else if (height == kTileRows / 3 * 2) {
        TileF32<kTileRows / 3 * 2, kKeys, 1>(weights, tile, count, to, rows.d_stride);
      } else {
        TileF32<kTileRows / 3, kKeys, 1>(weights, tile, count, to, rows.d_stride);
      }
    }
  }
}

// Turns scores [begin, end) of row r into weights and the rest of [0, count) into zeros, and rescales what
// the row has gathered so far to the new maximum.
HWY_INLINE void Softmax(Rows& rows, int64_t r, int64_t begin, int64_t end, int64_t count) {
  const DF d;
  float* scores = rows.scores.data() + r * kKeys;
  if (begin >= end) {
    std::fill(scores, scores + count, 0.0f);
    return;
  }
  const float low = -std::numeric_limits<float>::infinity();
  std::fill(scores, scores + begin, low);
  std::fill(scores + end, scores + kKeys, low);
  const int64_t padded = RoundUp(count, kLanes);
  VF max = hn::Set(d, low);
  for (int64_t i = 0; i < padded; i += kLanes) max = hn::Max(max, hn::LoadU(d, scores + i));
  const auto at = static_cast<size_t>(r);
  const float new_max = std::max(rows.max[at], hn::GetLane(hn::MaxOfLanes(d, max)));
  VF sum = hn::Zero(d);
  for (int64_t i = 0; i < padded; i += kLanes) {
    const VF w = hn::Exp(d, hn::Sub(hn::LoadU(d, scores + i), hn::Set(d, new_max)));
    hn::StoreU(w, d, scores + i);
    sum = hn::Add(sum, w);
  }
  const float correction = std::exp(rows.max[at] - new_max);
  rows.total[at] = rows.total[at] * correction + hn::GetLane(hn::SumOfLanes(d, sum));
  rows.max[at] = new_max;
  if (correction == 1.0f) return;
  float* sums = rows.sums.data() + r * rows.d_stride;
  for (int64_t i = 0; i < rows.d_stride; i += kLanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, sums + i), hn::Set(d, correction)), d, sums + i);
  }
}

// What an item is: rows [first, first + count) of the (token, query head) pairs of a kv head.
struct Item {
  int64_t sequence, head, first, count;
};

HWY_NOINLINE void RunItem(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                          const PagedKv& cache, const TensorView& y, const Item& item) {
  const int64_t shared = q.dim(1) / cache.kv_heads();
  const int64_t start = batch.seq_start.As<const int32_t>()[item.sequence];
  const int64_t stop = batch.seq_start.As<const int32_t>()[item.sequence + 1];
  const int64_t base = batch.kv_len.As<const int32_t>()[item.sequence] - (stop - start);
  const Head head{cache,
                  batch.block_table.As<const int32_t>() +
                      item.sequence * batch.block_table.strides[0],
                  item.head};
  const bool few = item.count <= kFewRows;
  Rows rows(item.count, q.dim(2));
  const auto offset = [&](const TensorView& t, int64_t r) {
    const int64_t row = item.first + r;
    return (start + row / shared) * t.strides[0] + (item.head * shared + row % shared) * rows.d;
  };
  const auto position = [&](int64_t r) { return base + (item.first + r) / shared; };

  std::vector<float> query(static_cast<size_t>(rows.d));
  for (int64_t r = 0; r < item.count; ++r) {
    LoadFloats(q, offset(q, r), rows.d, query.data());
    for (float& v : query) v *= args.scale;
    if (few) {
      std::copy(query.begin(), query.end(), rows.q.begin() + r * rows.d_stride);
    } else {
      const int64_t panel = r / kTileRows * kTileRows;
      ScatterRow(query.data(), rows.d, PanelHeight(item.count - panel),
                 static_cast<int>(r - panel), rows.q.data() + panel * rows.d);
    }
  }
  const auto first_key = [&](int64_t r) {
    return args.window > 0 ? std::max<int64_t>(0, position(r) - args.window + 1) : 0;
  };
  const int64_t end = position(item.count - 1) + 1;
  for (int64_t s = first_key(0); s < end; s += kKeys) {
    const int64_t count = std::min(kKeys, end - s);
    if (few) {
      ScoresFewRows(head, rows, s, count);
    } else {
      ScoresManyRows(head, rows, s, count);
    }
    for (int64_t r = 0; r < item.count; ++r) {
      Softmax(rows, r, std::clamp<int64_t>(first_key(r) - s, 0, count),
              std::clamp<int64_t>(position(r) + 1 - s, 0, count), count);
    }
    if (few) {
      MixFewRows(head, rows, s, count);
    } else {
      MixManyRows(head, rows, s, count);
    }
  }
  for (int64_t r = 0; r < item.count; ++r) {
    float* sums = rows.sums.data() + r * rows.d_stride;
    const float inverse = 1.0f / rows.total[static_cast<size_t>(r)];
    for (int64_t i = 0; i < rows.d; ++i) sums[i] *= inverse;
    StoreFloats(sums, rows.d, y, offset(y, r));
  }
}

}  // namespace

void Attention(Machine& machine, const AttentionArgs& args, const Batch& batch,
               const TensorView& q, const PagedKv& cache, const TensorView& y) {
  const int64_t shared = q.dim(1) / cache.kv_heads();
  const auto* start = batch.seq_start.As<const int32_t>();
  std::vector<Item> items;
  for (int64_t b = 0; b < batch.num_seqs(); ++b) {
    const int64_t rows = (start[b + 1] - start[b]) * shared;
    // Later rows see more keys: they go first, so that the last items are short ones.
    for (int64_t first = (rows - 1) / kRows * kRows; first >= 0 && rows > 0; first -= kRows) {
      for (int64_t g = 0; g < cache.kv_heads(); ++g) {
        items.push_back({b, g, first, std::min(kRows, rows - first)});
      }
    }
  }
  machine.pool.For(static_cast<int64_t>(items.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      RunItem(args, batch, q, cache, y, items[static_cast<size_t>(i)]);
    }
  });
}

}  // namespace awq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace awq::cpu {
HWY_EXPORT(Attention);
void Attention(Machine& machine, const AttentionArgs& args, const Batch& batch,
               const TensorView& q, const PagedKv& cache, const TensorView& y) {
  HWY_DYNAMIC_DISPATCH(Attention)(machine, args, batch, q, cache, y);
}
}  // namespace awq::cpu
#endif
