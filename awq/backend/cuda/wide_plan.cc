#include "awq/backend/cuda/wide_plan.h"

#include <algorithm>

namespace awq::cuda {
namespace {

int64_t Pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

}  // namespace

WideCut CutWide(const WideTile& tile, int64_t m, int64_t n, int64_t steps,
                const std::function<int(int)>& clusters) {
  WideCut cut = {.m_tiles = Pieces(m, tile.rows),
                 .n_tiles = Pieces(n, 64 * tile.warpgroups),
                 .steps = steps,
                 .parts = 1};
  // As many thread blocks as can work at once. Where two share an SM, parts of fewer than eight
  // steps take longer than the same work in fewer parts.
  const int64_t least_steps = tile.blocks == 1 ? 2 : 8;
  cut.parts = static_cast<int>(std::clamp<int64_t>(steps / least_steps, 1, kWideParts));
  while (cut.parts > 1 && cut.m_tiles * cut.n_tiles > clusters(cut.parts)) --cut.parts;
  return cut;
}

double WideMicroseconds(const WideTile& tile, const WideCut& cut, int sms) {
  const int64_t blocks = cut.m_tiles * cut.n_tiles * cut.parts;
  const int64_t rounds = cut.parts > 1 ? 1 : Pieces(blocks, int64_t{sms} * tile.blocks);
  // A step takes longer the more parts there are, most where two thread blocks share an SM, and
  // where smaller tiles keep all SMs busy for long.
  const bool shared = 2 * blocks > 3 * int64_t{sms};
  const double others = cut.parts - 1;
  const double parts = 1.0 + (tile.blocks == 1 ? 0.013 * others * others
                              : shared         ? 0.1 * others
                                               : 0.0);
  const int size = tile.rows * tile.warpgroups * tile.blocks;
  const double small = rounds > 1 && size < 512 ? 1.3 : 1.0;
  const double steps = static_cast<double>(Pieces(cut.steps, cut.parts)) * parts;
  return 4.1 + static_cast<double>(rounds) * small * (steps * tile.step_us + 0.0054 * size);
}

}  // namespace awq::cuda
