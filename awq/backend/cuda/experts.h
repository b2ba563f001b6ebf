// Routing to experts, and linears that pick a weight a row: of experts, or of heads.
// Arguments have passed the checks of ops/checks.h; every call is asynchronous.
#pragma once

#include <cuda.h>

#include <optional>
#include <vector>

#include "awq/backend/cuda/expert_tiles.h"
#include "awq/backend/cuda/launch.h"
#include "awq/backend/cuda/packed.h"
#include "awq/ops/args.h"

namespace awq::cuda {

// One weight of a stack as kernels see it.
struct StackedWeight {
  enum Kind : int { kF32, kF16, kBF16, kQ4, kQ8, kPlain };
  Kind kind = kF16;
  const void* data = nullptr;      // dense rows, blocks of a layout, or one code a byte
  const float* scales = nullptr;   // kPlain [N, groups]
  const uint8_t* zeros = nullptr;  // kPlain [N, groups]
  float scale = 1.0f;              // of the whole weight, or of sums of products …
  float scale_unit = 1.0f;         // … in which a scale counts this much times what it is
  int group = 0;
  int groups = 0;
  bool has_zeros = false;
  bool gated = false;  // kQ4: pairs of gate and up
  int form = 0;        // Stack::forms
};

// What kernels are compiled for.
struct WeightForm {
  StackedWeight::Kind kind;
  int groups = 0;          // kQ4, kQ8: in 128 inputs
  bool has_zeros = false;  // kQ4
  bool operator==(const WeightForm&) const = default;
};

class Stack : public PackedStack {
 public:
  // maps: where the device has a copy engine, of weights in the layout of layout.h.
  Stack(Stream& stream, std::vector<std::unique_ptr<PackedWeight>> weights, bool maps);
  const StackedWeight* on_device() const { return on_device_.As<const StackedWeight>(); }
  // The shape that all weights share if all are in the layout of layout.h; n is 0 otherwise.
  const Q4Shape& q4() const { return q4_; }
  // What the copy engine wants of each weight: boxes of 16 row tiles (tensor_map.h); or null.
  const CUtensorMap* maps() const { return maps_.As<const CUtensorMap>(); }
  // All that its weights have.
  const std::vector<WeightForm>& forms() const { return forms_; }
  // Whether they are of PrepareGated.
  bool gated() const { return gated_; }
  // Whether all are dense and of this type.
  bool IsDense(DType type) const;
  // Of dense weights that lie evenly apart in memory, the elements from each to the next; else 0.
  int64_t Apart() const { return apart_; }

 private:
  Tensor on_device_;  // U8
  Tensor maps_;       // U8
  Q4Shape q4_;
  std::vector<WeightForm> forms_;
  bool gated_ = false;
  int64_t apart_ = 0;
};

void Route(const Queue& queue, const RouteArgs& args, const TensorView& logits,
           const TensorView& bias, const Routing& routing);
void MoeSum(const Queue& queue, const Routing& routing, const TensorView& x,
            const TensorView& shared, const TensorView& gate, const TensorView& y);

// Any weights, any types: one warp an output of a row, of gated weights gates, then ups. Of the
// experts that `routing` names …
void AnyMoeLinear(const Queue& queue, const Stack& w, const Routing& routing, const TensorView& x,
                  const TensorView& y);
// … or of heads, x [T, H, K] and y [T, H, N].
void AnyHeadLinear(const Queue& queue, const Stack& w, const TensorView& x, const TensorView& y);

// By tensor cores, tiles of rows of one expert at a time: weights in the layout of layout.h, x of
// 16 bits, rows that 16-byte loads can read.
bool SupportsTiles(const Stack& w, const TensorView& x, const TensorView& y, int arch);
// Which tiles there are, of all linears of as many experts.
struct TilePlan {
  bool alone;  // each pair is a tile of its own
  int cols;    // tiles of 8 rows in one
  ExpertTiles tiles;
};
int64_t TileWorkspace(const Routing& routing, int64_t experts);
TilePlan PlanTiles(const Queue& queue, const Routing& routing, int64_t experts, void* workspace);
void TiledMoeLinear(const Queue& queue, const Stack& w, const Routing& routing,
                    const TilePlan& plan, const TensorView& x, const TensorView& y,
                    std::optional<Activation> gate = {});

}  // namespace awq::cuda
