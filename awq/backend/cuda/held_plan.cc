#include "awq/backend/cuda/held_plan.h"

#include <algorithm>

namespace awq::cuda {

std::optional<HeldPlan> PlanHeld(const HeldTile& tile, const Q4Shape& shape, int64_t m,
                                 const std::function<int(int)>& clusters) {
  const int parts = HeldPartsOf(tile, shape.BlocksPerRow());
  if (m > tile.Rows() || parts < 1 || parts > kHeldParts || shape.GroupsPerBlock() > 1) {
    return std::nullopt;
  }
  const int blocks = static_cast<int>(shape.BlocksPerRow());
  HeldPlan plan = {};
  plan.parts = parts;
  plan.part_blocks = blocks / parts;
  plan.longer_parts = blocks % parts;
  const int row_tiles = static_cast<int>(shape.RowTiles());
  plan.clusters = std::min(clusters(parts), row_tiles);
  if (plan.clusters == 0) return std::nullopt;
  plan.tiles = row_tiles / plan.clusters;
  plan.longer = row_tiles % plan.clusters;
  const int most_tiles = plan.tiles + (plan.longer > 0 ? 1 : 0);
  plan.window = parts > 1 ? std::min(kHeldWindow, (most_tiles + parts - 1) / parts) : 0;
  const int most_blocks = plan.part_blocks + (plan.longer_parts > 0 ? 1 : 0);
  plan.slot_stride = (most_blocks * shape.BlockBytes() + 127) / 128 * 128;
  plan.slots = std::min((tile.shared - plan.Ring(tile)) / plan.slot_stride, kHeldSlots);
  const int x_bytes = static_cast<int>(m) * HeldRowBytes(most_blocks);
  plan.early_slots = (plan.slots * plan.slot_stride - x_bytes) / plan.slot_stride;
  if (plan.slots < 2 || x_bytes > (plan.slots - 1) * plan.slot_stride) return std::nullopt;
  return plan;
}

}  // namespace awq::cuda
