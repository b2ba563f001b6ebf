#include "awq/ops/check_tensors.h"
#include "awq/ops/checks.h"

namespace awq {

RouteDims CheckRoute(const RouteArgs& args, const TensorView& logits, const TensorView& bias,
                     const Routing& routing) {
  CheckAnyMatrix("route", "logits", logits);
  CheckF32("route", "logits", logits);
  const RouteDims d{logits.dim(0), logits.dim(1), routing.experts.dim(1)};
  if (!bias.empty()) CheckVector("route", "bias", bias, DType::kF32, d.experts);
  const Shape chosen{d.tokens, d.active};
  AWQ_CHECK(routing.experts.shape == chosen && routing.weights.shape == chosen &&
                routing.experts.dtype == DType::kI32 && routing.weights.dtype == DType::kF32 &&
                routing.experts.IsContiguous() && routing.weights.IsContiguous(),
            kInternal, "route: expected I32 and F32 ", chosen, ", found ",
            Describe(routing.experts), " and ", Describe(routing.weights));
  CheckVector("route", "pairs", routing.pairs, DType::kI32, d.tokens * d.active);
  CheckVector("route", "starts", routing.starts, DType::kI32, d.experts + 1);
  AWQ_CHECK(args.groups > 0 && d.experts % args.groups == 0 && args.active_groups <= args.groups &&
                args.rank_by <= d.experts / args.groups && d.active <= d.experts,
            kInternal, "route: ", d.active, " experts from ", args.active_groups, " of ",
            args.groups, " groups of ", d.experts);
  return d;
}

namespace {

MoeDims CheckMoe(const char* op, const PackedStack& w, int64_t outputs, const Routing& routing,
                 const TensorView& x, const TensorView& y) {
  const int64_t pairs = routing.pairs.dim(0);
  CheckVector(op, "starts", routing.starts, DType::kI32, w.size() + 1);
  CheckAnyMatrix(op, "x", x);
  CheckMatrix(op, "x", x, x.dim(0), w.k());
  CheckMatrix(op, "y", y, pairs, outputs);
  AWQ_CHECK(x.dim(0) > 0 && (x.dim(0) == pairs || x.dim(0) == routing.experts.dim(0)), kInternal,
            op, ": x: ", x.dim(0), " rows for ", pairs, " pairs");
  return {pairs, pairs / x.dim(0), outputs, w.k()};
}

}  // namespace

MoeDims CheckMoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                       const TensorView& y) {
  return CheckMoe("moe_linear", w, w.n(), routing, x, y);
}
MoeDims CheckGatedMoeLinear(const PackedStack& w, const Routing& routing, const TensorView& x,
                            const TensorView& y) {
  return CheckMoe("gated_moe_linear", w, w.n() / 2, routing, x, y);
}

RowDims CheckMoeSum(const Routing& routing, const TensorView& x, const TensorView& shared,
                    const TensorView& gate, const TensorView& y) {
  CheckAnyMatrix("moe_sum", "y", y);
  CheckMatrix("moe_sum", "x", x, routing.pairs.dim(0), y.dim(1));
  CheckMatrix("moe_sum", "y", y, routing.experts.dim(0), y.dim(1));
  if (!shared.empty()) CheckMatrix("moe_sum", "shared", shared, y.dim(0), y.dim(1));
  if (!gate.empty()) {
    CheckMatrix("moe_sum", "gate", gate, y.dim(0), 1);
    CheckF32("moe_sum", "gate", gate);
    AWQ_CHECK(!shared.empty(), kInternal, "moe_sum: a gate of nothing");
  }
  return {y.dim(0), y.dim(1)};
}

}  // namespace awq
