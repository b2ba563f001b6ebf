#include "awq/nn/embedding.h"

namespace awq {
namespace {

Tensor CopyToDevice(Backend& backend, const TensorView& host) {
  Tensor out = backend.Alloc(host.dtype, host.shape);
  backend.Copy(out.view(), host);
  return out;
}

}  // namespace

Embedding::Embedding(Backend& backend, const WeightSource& source)
    : spec_(source.spec().embed),
      table_(CopyToDevice(backend, source.Embedding().view())),
      norm_(LoadNorm(backend, spec_.norm, Role::kEmbedNorm, source.spec().hidden, source)) {
  const ModelSpec& model = source.spec();
  if (model.has_projections()) {
    const Tensor w = source.Other(Role::kEmbedProjection, {model.hidden, model.embed_size()});
    projection_.emplace(backend.PrepareDense(w.view(), w.dtype()), Tensor());
  }
  if (spec_.positions > 0) {
    const Tensor rows = source.Other(Role::kPositions, {spec_.positions, model.hidden});
    positions_ = CopyToDevice(backend, rows.view());
  }
}

void Embedding::Forward(ExecContext& ctx, const Batch& batch, const TensorView& hidden) const {
  const Workspace::Scope scope(ctx.scratch);
  if (projection_) {
    const Shape shape{hidden.dim(0), table_.shape()[1]};
    const TensorView rows = ctx.scratch.Take(DType::kF32, shape);
    const TensorView x = ctx.scratch.Take(ctx.act, shape);
    ctx.backend.Embed(batch.tokens, table_.view(), rows);
    ctx.backend.Scale({}, rows, x);
    projection_->Forward(ctx, x, hidden);
  } else {
    ctx.backend.Embed(batch.tokens, table_.view(), hidden);
  }
  if (spec_.scale != 1) {
    ctx.backend.Scale({.factor = static_cast<float>(spec_.scale)}, hidden, hidden);
  }
  if (!norm_.is_none()) norm_.Forward(ctx, hidden, hidden);
  if (!positions_.empty()) {
    const TensorView rows = ctx.scratch.Take(DType::kF32, hidden.shape);
    const TensorView table = positions_.view().Rows(spec_.position_offset, spec_.positions);
    ctx.backend.Embed(batch.positions, table, rows);
    ctx.backend.Add(hidden, rows);
  }
}

}  // namespace awq
