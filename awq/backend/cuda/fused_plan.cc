#include "awq/backend/cuda/fused_plan.h"

#include <algorithm>

#include "awq/backend/cuda/fused_kernels.h"
#include "awq/backend/cuda/layout.h"

namespace awq::cuda {
namespace {

constexpr int kMaxSplits = 16;
// With five Gemma-2-27B's layers take as long as call by call, others with seven 2 to 7 % less.
constexpr int kMinSlots = 5;
static_assert(static_cast<int>(std::max({kFusedAhead, kFusedKeysAhead, kFusedStream})) <=
              kMinSlots);
constexpr int kDigitBytes = 384;  // of 128 inputs, as digits.cuh has them
constexpr int kScaleBytes = 32;
constexpr int kCacheBytes = 2;  // of an element of keys and values, at most

int RoundUp(int n, int unit) { return (n + unit - 1) / unit * unit; }

bool SuitsExperts(const FusedShape& s) {
  if (s.experts == 0) return true;
  return s.experts <= kMaxFusedExperts && s.active >= 1 && s.active <= s.experts &&
         s.active <= kMaxFusedActive && s.ffn % (s.active * kBlockK) == 0;
}

// As fused_select.cuh has them.
bool SuitsHeads(const FusedShape& s, int group) {
  if (s.sandwich) {
    return s.experts == 0 && (s.head_size == 256 || s.head_size == 128) &&
           group <= kMaxSandwichGroup;
  }
  if (s.head_size == 96) return s.experts == 0 && group == 1;
  return (s.head_size == 64 || s.head_size == 128) && group <= kMaxFusedGroup;
}
int TurnsOf(const FusedShape& s) {
  return s.head_size != 128 || s.experts > 0 ? 1 : kMaxFusedTurns;
}

}  // namespace

std::optional<FusedPlan> PlanFused(const FusedShape& s, int sms, int shared_per_block) {
  const int d = s.head_size;
  const int q_size = s.heads * d;
  int group = s.kv_heads > 0 ? s.heads / s.kv_heads : 0;
  if (s.num_layers < 1 || s.num_layers > kMaxFusedLayers || s.hidden % kBlockK != 0 ||
      q_size % kBlockK != 0 || s.ffn % kBlockK != 0 || group < 1 ||
      std::max(s.hidden, q_size) > TurnsOf(s) * kFusedThreads * 8 ||
      group * s.kv_heads != s.heads || !SuitsExperts(s)) {
    return std::nullopt;
  }
  FusedPlan plan;
  const int qkv_size = q_size + 2 * s.kv_heads * d;
  plan.blocks = std::min(sms, std::min({qkv_size, s.hidden, 2 * s.ffn}) / kTileN);
  // Blocks that would have no keys take a part of the heads.
  plan.groups = s.kv_heads;
  // More than four heads take longer than the keys of half as many blocks.
  const auto splits = [&] { return group > 4 ? kMaxSplits / 2 : kMaxSplits; };
  const auto divides = [&] {
    const bool suits_uneven = s.experts == 0 && !s.sandwich && (group + 1) / 2 <= kMaxUneven;
    return s.heads % (2 * plan.groups) == 0 || suits_uneven;
  };
  while (2 * plan.groups <= s.heads && 2 * plan.groups * splits() <= plan.blocks && divides()) {
    plan.groups *= 2;
    group = (group + 1) / 2;
  }
  plan.group_heads = group;
  if (!SuitsHeads(s, group)) return std::nullopt;
  const int router_rows = (s.experts + plan.blocks - 1) / plan.blocks;
  if (s.kv_heads > plan.blocks || router_rows > kMaxFusedRouterRows) return std::nullopt;
  plan.splits = std::min(plan.blocks / plan.groups, kMaxSplits);
  FusedShared& out = plan.shared;
  out.slot_bytes = RoundUp(kFusedWarps * s.block_bytes, 128);

  const int units = std::max({s.hidden, q_size, s.ffn}) / kBlockK;
  const auto sum_bytes = [&](int outputs) {  // of the most tiles of a block
    return (outputs / kTileN + plan.blocks - 1) / plan.blocks * kFusedWarps * kTileN * 4;
  };
  int at = 0;  // behind the ring
  const auto place = [&](int bytes) {
    const int here = at;
    at += RoundUp(bytes, 16);
    return here;
  };
  const int merge_bytes = kFusedWarps * group * d * 4;
  // Gate and up have digits of their inputs, then sums, where down has digits of more.
  const int gate_up_digits = s.hidden / kBlockK * kDigitBytes;
  out.digits =
      place(std::max({units * kDigitBytes, merge_bytes, gate_up_digits + sum_bytes(2 * s.ffn)}));
  out.gate_up_sums = out.digits + gate_up_digits;
  out.merge = out.digits;
  out.scales = place(units * kScaleBytes);
  const int share = (group * d + plan.splits - 1) / plan.splits;
  out.sums = place(std::max(sum_bytes(std::max(qkv_size, s.hidden)), plan.splits * 3 * share * 4));
  out.pages = place(s.sandwich ? 0 : FusedPages(plan.splits) * 4);
  out.cosines = place((s.sandwich ? kMaxFusedReaches : 1) * d / 2 * 8);
  out.queries = place(group * d * 4);
  out.tokens = place(2 * d * kCacheBytes);
  out.statistics = place(group * kFusedWarps * 8);
  out.parts = place(2 * kFusedWarps * 4);
  out.layers = place(s.num_layers * static_cast<int>(sizeof(FusedLayer)));
  out.routers = place(s.experts > 0 ? s.num_layers * static_cast<int>(sizeof(FusedRouter)) : 0);
  out.experts = place(s.experts * static_cast<int>(sizeof(FusedExpert)));
  out.logits = place(s.experts * 4);
  out.keys = place(s.experts > 0 ? kMaxFusedExperts * 4 : 0);
  out.picked = place(s.active * 4);
  out.chosen = place(s.active * static_cast<int>(sizeof(FusedExpert)));
  out.router_sums = place(router_rows * kFusedWarps * 4);
  out.routed = place(s.experts > 0 ? 8 : 0);
  out.sandwiches = place(s.sandwich ? s.num_layers * static_cast<int>(sizeof(FusedSandwich)) : 0);
  out.squares = place(s.sandwich ? kFusedWarps * 4 : 0);
  out.barriers = place(0);
  out.slots = (shared_per_block - at) / (out.slot_bytes + 16);
  if (out.slots < kMinSlots) return std::nullopt;
  const int ring = out.slots * out.slot_bytes;
  for (int* place :
       {&out.digits,     &out.gate_up_sums, &out.merge,   &out.scales,      &out.sums,
        &out.pages,      &out.cosines,      &out.queries, &out.tokens,      &out.statistics,
        &out.parts,      &out.layers,       &out.routers, &out.experts,     &out.logits,
        &out.keys,       &out.picked,       &out.chosen,  &out.router_sums, &out.routed,
        &out.sandwiches, &out.squares,      &out.barriers}) {
    *place += ring;
  }
  out.bytes = ring + at + 16 * out.slots;
  return plan;
}

}  // namespace awq::cuda
