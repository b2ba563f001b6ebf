#include "awq/backend/cuda/staged_plan.h"

#include <algorithm>

namespace awq::cuda {
namespace {

int64_t Pieces(int64_t count, int64_t size) { return (count + size - 1) / size; }

// Cycles of an SM's tensor cores for 128 products of 16 bits with sums of f32: what NVIDIA
// publishes, of cards for games (other cards of sm_86 and sm_89 take half); sm_90 and sm_100 as
// measured on an H200.
double CyclesOf128(int arch) {
  if (arch >= 90 && arch < 120) return 0.138;
  return arch == 80 ? 0.125 : 0.5;
}

}  // namespace

double StagedCycles(const StagedTile& tile, const StagedCut& cut, int arch, int sms) {
  const double area = tile.rows * tile.outputs;
  const double step = tile.overhead + area * CyclesOf128(arch);
  // Sums go to L2, and all parts' come back, at some 50 bytes a cycle.
  const double meeting = cut.parts > 1 ? 3000 + area * 4 / 50 * (1 + cut.parts) : 0;
  return static_cast<double>(Pieces(cut.Items(), sms)) *
         (static_cast<double>(Pieces(cut.steps, cut.parts)) * step + 2500 + meeting);
}

StagedCut CutStaged(const StagedTile& tile, int64_t m, int64_t n, int64_t steps, int arch,
                    int sms) {
  StagedCut best = {Pieces(m, tile.rows), Pieces(n, tile.outputs), steps, 1};
  if (best.Tiles() > kStagedMostCut) return best;
  double least = StagedCycles(tile, best, arch, sms);
  for (int parts = 2; parts <= std::min<int64_t>(kStagedParts, steps / 2); ++parts) {
    StagedCut cut = best;
    cut.parts = parts;
    if (cut.Items() > int64_t{sms} * tile.per_sm) break;
    const double cycles = StagedCycles(tile, cut, arch, sms);
    if (cycles < least) best = cut, least = cycles;
  }
  return best;
}

}  // namespace awq::cuda
