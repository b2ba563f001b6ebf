#include "awq/backend/cuda/attention_plan.h"

#include <algorithm>

#include "awq/ops/args.h"

namespace awq::cuda {

namespace {

// A GPU's thread blocks in as few rounds as `count` of them take, `fit` at a time.
int64_t BlocksOfRounds(int64_t count, int64_t fit) { return (count + fit - 1) / fit * fit; }

}  // namespace

// While there are fewer sequences and heads than SMs, latency counts: two small blocks an SM are
// best; beyond that, bandwidth, and three. How four blocks of tiles an SM compare with them, and
// sharing with giving each sequence as many, has been measured (docs/kernels.md).
ShortPlan PlanShort(const ShortShape& s, int sms, int shared_per_block) {
  constexpr int64_t kManyKeys = 2048;
  constexpr int64_t kKeysOfTwoTiles = 1024;  // of which two parts, of E4M3, are worth it
  const int64_t pairs = s.sequences * s.kv_heads;
  if (pairs == 0 || s.rows == 0) return {};
  // A window's first and last tiles are parts of two.
  const int64_t keys = s.window > 0 ? std::min(s.max_kv, s.window + kTileKeys) : s.max_kv;
  // Three blocks fit an SM, or two where there are more rows or elements in registers.
  const int64_t fit = int64_t{s.d > 128 || s.rows > 8 ? 2 : 3} * sms;
  const ShortPlan shared{.columns = fit / s.kv_heads};
  const bool can_share = s.sequences <= kMostShared && 4 * shared.columns * s.kv_heads >= 3 * fit;
  // Of what a window leaves, lengths differ less.
  if (can_share && s.uneven && keys > (s.window > 0 ? kManyKeys : kFewKeys)) return shared;

  // Else every sequence has as many blocks; those are a cluster, which costs less. Tiles have four
  // an SM, which they must fill, and eight rows, of which at least half must be there.
  const int64_t four = int64_t{4} * sms;
  const int64_t parts = std::max<int64_t>(four / pairs, 1);
  const bool full = 20 * pairs * parts >= 19 * BlocksOfRounds(pairs, four);
  const bool suits = s.element_bytes == 1 ? parts == 1 || (parts == 2 && keys >= kKeysOfTwoTiles)
                                          : parts == 1 && pairs <= four && keys < kManyKeys;
  const bool tiles =
      full && suits && s.heads >= 4 * s.kv_heads && s.d <= 128 &&
      4 * TilesSharedBytes(s.d <= 64 ? 64 : 128, s.element_bytes) <= shared_per_block;
  if (!tiles && can_share && keys >= kManyKeys && pairs > fit &&
      5 * pairs < 4 * BlocksOfRounds(pairs, fit)) {
    return shared;  // rather than a last round of few
  }
  const int64_t blocks = tiles ? four : pairs > sms ? fit : int64_t{2} * sms;
  const int64_t count = (keys + kTileKeys - 1) / kTileKeys;
  const int64_t splits = std::clamp<int64_t>(std::min(blocks / pairs, count), 1, kMostSplits);
  const int64_t each = std::max<int64_t>(1, (count + splits - 1) / splits);
  return {.splits = std::max<int64_t>(1, (count + each - 1) / each),  // none without keys
          .tiles = tiles};
}

}  // namespace awq::cuda
