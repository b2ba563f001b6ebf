// ExpertGroup: linears of all experts that read the same rows, e.g. every expert's gate and up;
// their outputs side by side.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "awq/checkpoint/weights.h"
#include "awq/nn/context.h"

namespace awq {

class ExpertGroup {
 public:
  // Of no expert: must not be run.
  ExpertGroup() = default;
  // Of experts 0 … experts - 1; roles in the order of their outputs. gated: gate and up, whose
  // activation the backend may apply itself.
  ExpertGroup(Backend& backend, int64_t layer, const LayerParams& params, int64_t experts,
              const std::vector<Role>& roles, bool gated = false);

  // y [P, Σ N] for all pairs of a token and an expert, of x [T, K] or [P, K].
  void Forward(ExecContext& ctx, const Routing& routing, const TensorView& x,
               const TensorView& y) const;
  // Whether ForwardGated is what it offers, not Forward: y [P, F] = activation(gate) · up.
  bool IsGated() const { return gated_; }
  void ForwardGated(ExecContext& ctx, Activation kind, const Routing& routing, const TensorView& x,
                    const TensorView& y) const;
  // The one stack that it is; null where it is several.
  const PackedStack* Single() const { return stacks_.size() == 1 ? stacks_[0].get() : nullptr; }
  // Outputs of all roles; of role i of y.
  int64_t n() const { return begins_.back(); }
  TensorView Part(const TensorView& y, size_t i) const {
    return y.Columns(begins_[i], begins_[i + 1]);
  }

 private:
  // Shows every expert the rows that it reads.
  void ShowInputs(ExecContext& ctx, const Routing& routing, const TensorView& x) const;

  std::vector<Role> roles_;
  int64_t layer_ = 0;
  bool gated_ = false;
  std::vector<int64_t> begins_{0};                    // of each role's outputs, and the end
  std::vector<std::unique_ptr<PackedStack>> stacks_;  // one, or one a role
};

// Where the rows of a step went, on the host: pairs of expert e are pairs[starts[e] … starts[e +
// 1]).
struct HostRouting {
  std::vector<int32_t> pairs, starts;
};
HostRouting ToHost(Backend& backend, const Routing& routing);
// The rows of x [M, F32] that those pairs read, out of `total` pairs in all; dense on the device.
Tensor GatherPairs(Backend& backend, const TensorView& x, std::span<const int32_t> pairs,
                   int64_t total);

}  // namespace awq
