// Causal attention over the paged cache, with an online softmax over blocks of kKeys keys. Queries
// may come in two parts, and values may be the first elements of the keys: latent attention.
//
// An item is one kv head of one sequence and up to kRows of its query rows: the tokens of this step
// times the H/G query heads that share the kv head, token-major. Many rows: keys and values of a
// block are expanded into f32 tiles once and both products run in registers tiles (gemm-inl.h). Few
// rows (decode): dot products straight from the cache, whose reading is then the cost.
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
  int64_t count;              // query rows
  int64_t d;                  // size of queries and keys
  int64_t values;             // size of values
  int64_t d_stride;           // d rounded up to whole tiles
  std::vector<float> q;       // few rows: [count][d_stride]; many: packed panels [d][height]
  std::vector<float> scores;  // [rows][kKeys]
  std::vector<float> sums;    // [rows][d_stride]: Σ weight · value so far
  std::vector<float> max;     // [rows]
  std::vector<float> total;   // [rows]: Σ weight
  std::vector<float> tile;

  Rows(int64_t count, int64_t d, int64_t values)
      : count(count), d(d), values(values), d_stride(RoundUp(d, kTileColumns)) {
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
    const auto past = reinterpret_cast<uintptr_t>(tile.data()) % 64 / sizeof(float);
    return tile.data() + (past == 0 ? 0 : 16 - past);
  }
};

#if HWY_TARGET != HWY_SCALAR
// to[0 … 4) += the sum of v's blocks of four lanes.
template <class D, class V>
HWY_INLINE void AddFolded(D d, V v, float* to) {
  if constexpr (MaxLanes(D()) > 4) {
    const hn::Half<D> half;
    AddFolded(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)), to);
  } else {
    hn::StoreU(hn::Add(hn::LoadU(d, to), v), d, to);
  }
}
#endif

// to[0 … 4) += the sums of the lanes of four vectors: pairs, then quadruples within 128-bit blocks,
// then the blocks; a third of the work of four separate sums.
HWY_INLINE void AddSums(const VF (&v)[4], float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 4; ++i) to[i] += hn::GetLane(v[i]);
#else
  const DF d;
  const hn::Repartition<double, DF> d64;
  const VF low = hn::Add(hn::InterleaveLower(d, v[0], v[1]), hn::InterleaveUpper(d, v[0], v[1]));
  const VF high = hn::Add(hn::InterleaveLower(d, v[2], v[3]), hn::InterleaveUpper(d, v[2], v[3]));
  const auto low64 = hn::BitCast(d64, low);
  const auto high64 = hn::BitCast(d64, high);
  const VF quads = hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, low64, high64)),
                           hn::BitCast(d, hn::InterleaveUpper(d64, low64, high64)));
  AddFolded(d, quads, to);
#endif
}

// scores[s] += Σ_i q[i] · key(s)[i] over kVectors vectors, for four keys.
template <int kVectors, typename T>
HWY_INLINE void DotFourKeys(const float* q, const T* const (&keys)[4], int64_t at, float* scores) {
  const DF d;
  VF sum[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  HWY_UNROLL(4)
  for (int v = 0; v < kVectors; ++v) {
    const VF query = hn::LoadU(d, q + at + v * kLanes);
    HWY_UNROLL(4)
    for (int s = 0; s < 4; ++s) {
      sum[s] = hn::MulAdd(query, LoadVector(keys[s] + at + v * kLanes), sum[s]);
    }
  }
  AddSums(sum, scores);
}

template <typename T>
HWY_NOINLINE void ScoresFewRows(const Head& head, Rows& rows, int64_t first, int64_t count) {
  std::fill(rows.scores.begin(), rows.scores.end(), 0.0f);
  const T* base = head.cache.keys.As<const T>();
  for (int64_t s = 0; s < count; s += 4) {
    // Places past the last key repeat it; nobody reads their scores.
    const T* const keys[4] = {base + head.At(first + s),
                              base + head.At(first + std::min(s + 1, count - 1)),
                              base + head.At(first + std::min(s + 2, count - 1)),
                              base + head.At(first + std::min(s + 3, count - 1))};
    for (int64_t r = 0; r < rows.count; ++r) {
      const float* q = rows.q.data() + r * rows.d_stride;
      float* scores = rows.scores.data() + r * kKeys + s;
      int64_t i = 0;
      for (; i + 4 * kLanes <= rows.d; i += 4 * kLanes) DotFourKeys<4>(q, keys, i, scores);
      for (; i + kLanes <= rows.d; i += kLanes) DotFourKeys<1>(q, keys, i, scores);
      for (; i < rows.d; ++i) {
        for (int j = 0; j < 4; ++j) scores[j] += q[i] * ToFloat(keys[j][i]);
      }
    }
  }
}

// sums[i …] += Σ_s weight[s] · value(s)[i …], kVectors vectors in registers over all keys of the
// block.
template <int kVectors, typename T>
HWY_INLINE void MixVectors(const float* weights, const T* const* values, int64_t count, int64_t at,
                           float* sums) {
  const DF d;
  VF sum[kVectors];
  HWY_UNROLL(4)
  for (int v = 0; v < kVectors; ++v) sum[v] = hn::LoadU(d, sums + at + v * kLanes);
  for (int64_t s = 0; s < count; ++s) {
    const VF weight = hn::Set(d, weights[s]);
    HWY_UNROLL(4)
    for (int v = 0; v < kVectors; ++v) {
      sum[v] = hn::MulAdd(weight, LoadVector(values[s] + at + v * kLanes), sum[v]);
    }
  }
  HWY_UNROLL(4)
  for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[v], d, sums + at + v * kLanes);
}

template <typename T>
HWY_NOINLINE void MixFewRows(const Head& head, Rows& rows, int64_t first, int64_t count) {
  const T* values[kKeys];
  for (int64_t s = 0; s < count; ++s) {
    values[s] = head.cache.values.As<const T>() + head.At(first + s);
  }
  for (int64_t r = 0; r < rows.count; ++r) {
    const float* weights = rows.scores.data() + r * kKeys;
    float* sums = rows.sums.data() + r * rows.d_stride;
    int64_t i = 0;
    for (; i + 4 * kLanes <= rows.values; i += 4 * kLanes)
      MixVectors<4>(weights, values, count, i, sums);
    for (; i + kLanes <= rows.values; i += kLanes) MixVectors<1>(weights, values, count, i, sums);
    for (; i < rows.values; ++i) {
      for (int64_t s = 0; s < count; ++s) sums[i] += weights[s] * ToFloat(values[s][i]);
    }
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
  for (int64_t column = 0; column < rows.values; column += kTileColumns) {
    const int64_t width = std::min<int64_t>(kTileColumns, rows.values - column);
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

// Caps the scores of row r and adds slope · (key - query), its first key `distance` behind its
// query.
HWY_NOINLINE void AdjustScores(Rows& rows, int64_t r, float softcap, float slope,
                               int64_t distance) {
  const DF d;
  float* scores = rows.scores.data() + r * kKeys;
  const VF cap = hn::Set(d, softcap);
  const VF step = hn::Set(d, slope);
  // Not in the loop below: GCC 12 would make of the test a mask for AVX-512, of the first lane
  // alone.
  if (softcap > 0) {
    for (int64_t i = 0; i < kKeys; i += kLanes) {
      const VF s = hn::LoadU(d, scores + i);
      hn::StoreU(hn::Mul(hn::Tanh(d, hn::Div(s, cap)), cap), d, scores + i);
    }
  }
  for (int64_t i = 0; i < kKeys; i += kLanes) {
    const VF s = hn::LoadU(d, scores + i);
    const VF behind = hn::Iota(d, static_cast<float>(i - distance));
    hn::StoreU(hn::MulAdd(step, behind, s), d, scores + i);
  }
}

// Turns scores [begin, end) of row r into weights and the rest of [0, count) into zeros, and
// rescales what the row has gathered so far to the new maximum.
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
  bool few;  // rows: each by itself, not in panels
};

HWY_NOINLINE void RunItem(const AttentionArgs& args, const Batch& batch, const TensorView& q,
                          const TensorView& q_rest, const PagedKv& cache, const TensorView& y,
                          const Item& item) {
  const int64_t shared = q.dim(1) / cache.kv_heads();
  const int64_t start = batch.seq_start.As<const int32_t>()[item.sequence];
  const int64_t stop = batch.seq_start.As<const int32_t>()[item.sequence + 1];
  const int64_t base = batch.kv_len.As<const int32_t>()[item.sequence] - (stop - start);
  const Head head{
      cache, batch.block_table.As<const int32_t>() + item.sequence * batch.block_table.strides[0],
      item.head};
  // E4M3 is expanded into tiles whatever the number of rows.
  const bool few = item.few && cache.keys.dtype != DType::kF8E4M3;
  Rows rows(item.count, cache.keys.dim(3), y.dim(2));
  const auto offset = [&](const TensorView& t, int64_t r) {
    const int64_t row = item.first + r;
    return (start + row / shared) * t.strides[0] + (item.head * shared + row % shared) * t.dim(2);
  };
  const auto position = [&](int64_t r) { return base + (item.first + r) / shared; };

  std::vector<float> query(static_cast<size_t>(rows.d));
  for (int64_t r = 0; r < item.count; ++r) {
    LoadFloats(q, offset(q, r), q.dim(2), query.data());
    if (!q_rest.empty()) {
      LoadFloats(q_rest, offset(q_rest, r), q_rest.dim(2), query.data() + q.dim(2));
    }
    for (float& v : query) v *= args.scale;
    if (few) {
      std::copy(query.begin(), query.end(), rows.q.begin() + r * rows.d_stride);
    } else {
      const int64_t panel = r / kTileRows * kTileRows;
      ScatterRow(query.data(), rows.d, PanelHeight(item.count - panel), static_cast<int>(r - panel),
                 rows.q.data() + panel * rows.d);
    }
  }
  const auto first_key = [&](int64_t r) {
    return args.window > 0 ? std::max<int64_t>(0, position(r) - args.window + 1) : 0;
  };
  const bool adjusted = args.softcap > 0 || !args.alibi_slopes.empty();
  const auto slope = [&](int64_t r) {
    const int64_t head = item.head * shared + (item.first + r) % shared;
    return args.alibi_slopes.empty() ? 0.0f : args.alibi_slopes.As<const float>()[head];
  };
  const int64_t end = position(item.count - 1) + 1;
  // From a whole block on, so that a row's sums are the same whatever rows are beside it.
  for (int64_t s = first_key(0) / kKeys * kKeys; s < end; s += kKeys) {
    const int64_t count = std::min(kKeys, end - s);
    if (few) {
      WithType(cache.keys, 0, [&]<typename T>(T*) { ScoresFewRows<T>(head, rows, s, count); });
    } else {
      ScoresManyRows(head, rows, s, count);
    }
    for (int64_t r = 0; r < item.count; ++r) {
      if (adjusted) AdjustScores(rows, r, args.softcap, slope(r), position(r) - s);
      Softmax(rows, r, std::clamp<int64_t>(first_key(r) - s, 0, count),
              std::clamp<int64_t>(position(r) + 1 - s, 0, count), count);
    }
    if (few) {
      WithType(cache.values, 0, [&]<typename T>(T*) { MixFewRows<T>(head, rows, s, count); });
    } else {
      MixManyRows(head, rows, s, count);
    }
  }
  for (int64_t r = 0; r < item.count; ++r) {
    float* sums = rows.sums.data() + r * rows.d_stride;
    const float inverse = 1.0f / rows.total[static_cast<size_t>(r)];
    for (int64_t i = 0; i < rows.values; ++i) sums[i] *= inverse;
    StoreFloats(sums, rows.values, y, offset(y, r));
  }
}

}  // namespace

void Attention(Machine& machine, const AttentionArgs& args, const Batch& batch, const TensorView& q,
               const TensorView& q_rest, const PagedKv& cache, const TensorView& y) {
  const int64_t shared = q.dim(1) / cache.kv_heads();
  const auto* start = batch.seq_start.As<const int32_t>();
  std::vector<Item> items;
  for (int64_t b = 0; b < batch.num_seqs(); ++b) {
    const int64_t rows = (start[b + 1] - start[b]) * shared;
    // Later rows see more keys: they go first, so that the last items are short ones.
    for (int64_t first = (rows - 1) / kRows * kRows; first >= 0 && rows > 0; first -= kRows) {
      for (int64_t g = 0; g < cache.kv_heads(); ++g) {
        const int64_t count = std::min(kRows, rows - first);
        items.push_back({b, g, first, count, count <= kFewRows && !machine.deterministic});
      }
    }
  }
  machine.pool.For(static_cast<int64_t>(items.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      RunItem(args, batch, q, q_rest, cache, y, items[static_cast<size_t>(i)]);
    }
  });
}

}  // namespace awq::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace awq::cpu {
HWY_EXPORT(Attention);
void Attention(Machine& machine, const AttentionArgs& args, const Batch& batch, const TensorView& q,
               const TensorView& q_rest, const PagedKv& cache, const TensorView& y) {
  HWY_DYNAMIC_DISPATCH(Attention)(machine, args, batch, q, q_rest, cache, y);
}
}  // namespace awq::cpu
#endif
