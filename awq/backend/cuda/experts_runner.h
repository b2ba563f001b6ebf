// Linears of routed experts: the fastest kernel that serves each.
#pragma once

#include <memory>
#include <optional>

#include "awq/backend/cuda/device_limits.h"
#include "awq/backend/cuda/gathered_experts.h"
#include "awq/backend/cuda/stream.h"

namespace awq::cuda {

// Arguments have passed the checks of ops/checks.h; every call is asynchronous.
class ExpertsRunner {
 public:
  // deterministic: a row's sums do not depend on how many rows there are.
  ExpertsRunner(const DeviceLimits& device, const std::shared_ptr<Stream>& stream,
                bool deterministic)
      : device_(device),
        deterministic_(deterministic),
        queue_{stream->get(), device.arch >= 90},
        scratch_(stream, false) {}

  // y of each pair = x · Wᵀ of its expert.
  void Linear(const Stack& w, const Routing& routing, const TensorView& x, const TensorView& y);
  // activation(gate) · up, of weights with pairs of them.
  void Gated(const Stack& w, Activation kind, const Routing& routing, const TensorView& x,
             const TensorView& y);
  // Both linears of experts with one plan, hidden [pairs, K] between; false where no kernel serves
  // both.
  bool Mlp(const Stack& gate_up, Activation kind, const Stack& down, const Routing& routing,
           const TensorView& x, const TensorView& hidden, const TensorView& y);

 private:
  // A kernel that wants rows in the order of experts.
  struct Gathering {
    int rows;  // of a tile
    void (*linear)(const Queue&, const DeviceLimits&, const Stack&, const Routing&,
                   const GatheredExperts&, const TensorView& x, const TensorView& y,
                   std::optional<Activation> gate, bool in_order);
  };
  std::optional<Gathering> FindGathering(const Stack& w, const Routing& routing,
                                         const TensorView& x, const TensorView& y) const;
  // Both linears by it; it is of the first one, and serves the second.
  void GatherAndRun(const Gathering& kernel, const Stack& gate_up, Activation kind,
                    const Stack& down, const Routing& routing, const TensorView& x,
                    const TensorView& hidden, const TensorView& y);
  GatheredExperts Gather(const Gathering& kernel, const Stack& w, const Routing& routing,
                         const TensorView& x);
  TilePlan PlanTiles(const Stack& w, const Routing& routing);
  // Whether moe_q4 and, where there is one, wide_linear serve it.
  bool SupportsTiles(const Stack& w, const TensorView& x, const TensorView& y) const;
  // False where no kernel of tiles serves it.
  bool Run(const Stack& w, const Routing& routing, const TensorView& x, const TensorView& y,
           std::optional<Activation> gate);

  DeviceLimits device_;
  bool deterministic_;
  Queue queue_;
  GrowingBuffer scratch_;
};

}  // namespace awq::cuda
