#include "awq/backend/cuda/attention_plan.h"

#include <algorithm>

#include "awq/ops/args.h"

namespace awq::cuda {

// While there are fewer sequences and heads than SMs, latency counts: two small blocks an SM are
// best; beyond that, bandwidth. Of that tiles make more where four of their blocks an SM have much
// to do and several heads share keys (docs/kernels.md).
ShortPlan PlanShort(const ShortShape& s, int sms, int shared_per_block) {
  const int64_t pairs = s.sequences * s.kv_heads;
  if (pairs == 0) return {};
  // A window's first and last tiles are parts of two.
  const int64_t keys = s.window > 0 ? std::min(s.max_kv, s.window + kTileKeys) : s.max_kv;
  const bool many = pairs > sms;
  const bool suits_tiles =
      s.heads >= 4 * s.kv_heads && s.d <= 128 &&
      4 * TilesSharedBytes(s.d <= 64 ? 64 : 128, s.element_bytes) <= shared_per_block;
  // Of others three fit, or two where there are more rows or elements in registers.
  const int most = !many || s.d > 128 || s.heads > 8 * s.kv_heads ? 2 : 3;
  if (s.uneven && s.sequences <= kMostShared && keys > kFewKeys) {
    const bool tiles = suits_tiles && many && s.element_bytes == 1;
    const int64_t fit = int64_t{tiles ? 4 : most} * sms;
    return {.columns = std::max<int64_t>(fit / s.kv_heads, 1), .tiles = tiles};
  }
  // Else every sequence has as many blocks; those are a cluster, which costs less.
  const int64_t four = int64_t{4} * sms;
  const int64_t parts = std::max<int64_t>(four / pairs, 1);
  const int64_t rounds = (pairs + four - 1) / four;
  const bool full = 20 * pairs * parts >= 19 * rounds * four;
  const bool tiles = suits_tiles && full && (parts == 1 || (parts == 2 && keys > 2048));
  const int64_t fit = int64_t{tiles ? 4 : most} * sms;
  const int64_t count = (keys + kTileKeys - 1) / kTileKeys;
  const int64_t splits = std::clamp<int64_t>(std::min(fit / pairs, count), 1, kMostSplits);
  const int64_t each = std::max<int64_t>(1, (count + splits - 1) / splits);
  return {.splits = std::max<int64_t>(1, (count + each - 1) / each),  // none without keys
          .tiles = tiles};
}

}  // namespace awq::cuda
