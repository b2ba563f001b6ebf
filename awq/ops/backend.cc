#include "awq/ops/backend.h"

#include "awq/ops/checks.h"

#include "awq/base/error.h"

namespace awq {

void Backend::GatedLinear(const PackedWeight& /*w*/, Activation /*kind*/, const TensorView& /*x*/,
                          const TensorView& /*bias*/, const TensorView& /*y*/) {
  Fail(ErrorCode::kInternal, "gated_linear: this backend prepares no gated weights");
}

void Backend::GatedMoeLinear(const PackedStack& /*w*/, Activation /*kind*/,
                             const Routing& /*routing*/, const TensorView& /*x*/,
                             const TensorView& /*y*/) {
  Fail(ErrorCode::kInternal, "gated_moe_linear: this backend prepares no gated weights");
}

void Backend::RopeKvWrite(const HeadNorms& norms, const RopeArgs& args, const Batch& batch,
                          const TensorView& q, const TensorView& k, const TensorView& v,
                          const PagedKv& cache) {
  const NormArgs norm{.kind = NormKind::kRms, .epsilon = norms.epsilon};
  if (!norms.q.empty()) Norm(norm, q, norms.q, {}, q);
  if (!norms.k.empty()) Norm(norm, k, norms.k, {}, k);
  Rope(args, batch.positions, q);
  Rope(args, batch.positions, k);
  KvWrite(batch, k, v, cache);
}

void Backend::LatentWrite(const NormArgs& norm, const TensorView& weight, const RopeArgs& rope,
                          const Batch& batch, const TensorView& latents, const TensorView& q_rope,
                          const PagedKv& cache) {
  const LatentParts parts = CheckLatentWrite(weight, rope, batch, latents, q_rope, cache);
  Norm(norm, parts.ranked, weight, {}, parts.ranked);
  Rope(rope, batch.positions, q_rope);
  Rope(rope, batch.positions, parts.rotated);
  KvWrite(batch, latents, {}, cache);
}

void Backend::MlaHeads(const AttentionArgs& args, const Batch& batch, const PackedStack& keys,
                       const PackedStack& values, const TensorView& q_nope,
                       const TensorView& q_rope, const PagedKv& cache, const MlaRoom& room,
                       const TensorView& y) {
  HeadLinear(keys, q_nope, room.q_latent);
  MlaAttention(args, batch, room.q_latent, q_rope, cache, room.y_latent);
  HeadLinear(values, room.y_latent, y);
}

// Hosts are done with a call when it returns.
void Backend::Mark(int slot) {
  const auto i = static_cast<size_t>(slot);
  if (marks_.size() <= i) marks_.resize(i + 1);
  marks_[i] = std::chrono::steady_clock::now();
}

double Backend::SecondsBetween(int from, int to) {
  const auto a = marks_.at(static_cast<size_t>(from));
  const auto b = marks_.at(static_cast<size_t>(to));
  return std::chrono::duration<double>(b - a).count();
}

}  // namespace awq
