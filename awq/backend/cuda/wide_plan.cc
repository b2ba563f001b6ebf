#include "awq/backend/cuda/wide_plan.h"

#include <algorithm>

namespace awq::cuda {
namespace {

int64_t Pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

}  // namespace

// Fitted to 1600 times of 17 shapes, 16 to 2048 rows, on an H200 (docs/kernels.md).
double WideMicroseconds(const WideTile& tile, const WideCut& cut, int sms) {
  const int64_t blocks = cut.m_tiles * cut.n_tiles * cut.parts;
  const int64_t rounds = cut.parts > 1 ? 1 : Pieces(blocks, sms / tile.Blocks());
  const double others = cut.parts - 1;
  double step = tile.step_us;
  if (rounds > 1 && tile.rows < 256) step *= 1.08;  // weights are expanded more often: power
  const auto steps = static_cast<double>(Pieces(cut.steps, cut.parts));
  const double size = tile.rows * tile.warpgroups / 256.0;  // of a thread block's sums
  const double exchange = others > 0 ? 1.0 + 0.23 * others + 1.5 * size * others / cut.parts : 0.0;
  return 0.9 + static_cast<double>(rounds) * (steps * step + 1.7 * size) + exchange;
}

WideCut CutWide(const WideTile& tile, int64_t m, int64_t n, int64_t steps, int sms,
                const std::function<int(int)>& clusters) {
  WideCut best = {.m_tiles = Pieces(m, tile.rows),
                  .n_tiles = Pieces(n, tile.Outputs()),
                  .steps = steps,
                  .parts = 1};
  const int64_t tiles = best.m_tiles * best.n_tiles;
  const int64_t most =
      tile.Blocks() > 1 ? 1 : std::min<int64_t>({kWideParts, steps / 2, sms / tiles});
  double least = WideMicroseconds(tile, best, sms);
  for (int parts = 2; parts <= most; ++parts) {
    if (tiles > clusters(parts)) continue;
    WideCut cut = best;
    cut.parts = parts;
    const double us = WideMicroseconds(tile, cut, sms);
    if (us < least) best = cut, least = us;
  }
  return best;
}

}  // namespace awq::cuda
