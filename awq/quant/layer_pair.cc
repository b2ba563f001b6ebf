#include "awq/quant/layer_pair.h"

#include "awq/nn/batch_builder.h"
#include "awq/quant/layer_weights.h"

namespace awq {
namespace {

void Subtract(const TensorView& to, const TensorView& x) {
  const auto a = to.Span<float>();
  const auto b = x.Span<const float>();
  for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
}

void ScaleColumns(std::span<const float> by, const TensorView& x) {
  const auto values = x.Span<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] *= by[i % by.size()];
}

}  // namespace

LayerPair::LayerPair(Backend& backend, const ModelSpec& model, int64_t layer, ActivationStore& full,
                     ActivationStore& quantized, KeptRows& kept, int64_t moment_columns)
    : backend_(backend),
      model_(model),
      layer_(layer),
      full_(full),
      quantized_(quantized),
      kept_(kept),
      moment_columns_(moment_columns),
      pages_(MakePiecePages(backend, model, layer, full)) {}

int64_t LayerPair::SiteSize(Role site) const {
  for (const LinearShape& shape : LayerLinears(model_, layer_)) {
    if (shape.role == site) return shape.k;
  }
  Fail(ErrorCode::kInternal, "a layer without ", RoleName(site));
}

void LayerPair::SiteInput(Role site, ExecContext& ctx, const DecoderLayer& layer,
                          const Batch& batch, const TensorView& residual,
                          const TensorView& x) const {
  const Workspace::Scope scope(ctx.scratch);
  const bool attention = site == Role::kQ || site == Role::kO;
  const bool normed = site == Role::kQ || site == Role::kGate;
  const TensorView norm = normed ? x : ctx.scratch.Take(DType::kF32, residual.shape);
  (attention ? layer.attn_norm() : layer.ffn_norm()).Forward(ctx, residual, norm);
  if (site == Role::kO) layer.attention().Mix(ctx, batch, pages_->layers()[0], norm, x);
  if (site == Role::kDown) layer.mlp().Hidden(ctx, norm, x);
}

DecoderLayer LayerPair::InputParts(Role site, const LayerParams& params) const {
  std::vector<Role> roles;
  if (site == Role::kO) roles = {Role::kQ, Role::kK, Role::kV};
  if (site == Role::kDown) roles = {Role::kGate, Role::kUp};
  return MakeDecoderLayer(backend_, model_, layer_, ShareSome(params, roles));
}

SiteMoments LayerPair::Observe(Role site, const LayerParams& original, const LayerParams& current,
                               const std::function<void()>& poll) {
  Workspace scratch(backend_);  // its memory is needed elsewhere afterwards
  const DecoderLayer full = InputParts(site, original);
  const DecoderLayer quantized = InputParts(site, current);
  ExecContext ctx{backend_, scratch, DType::kF32, nullptr};
  const int64_t k = SiteSize(site);
  const bool keep = site == Role::kO || site == Role::kDown;
  kept_.Clear();
  inverse_.clear();
  SiteMoments out;
  out.gram = MakeMoments(backend_, k, moment_columns_);
  out.drift = MakeMoments(backend_, k, moment_columns_);
  const Tensor abs = MakeTensor(DType::kF32, {k});
  for (const auto& piece : full_.Pieces(PieceTokens(model_, layer_))) {
    poll();
    const Workspace::Scope scope(scratch);
    BatchBuilder builder;
    const Batch batch = BuildFreshBatch(builder, backend_, full_.Blocks(piece));
    const Shape shape{piece.rows(), k};
    const TensorView x = scratch.Take(DType::kF32, shape);
    const TensorView y = scratch.Take(DType::kF32, shape);
    const TensorView residual = scratch.Take(DType::kF32, {piece.rows(), model_.hidden});
    full_.Read(piece, residual);
    SiteInput(site, ctx, full, batch, residual, x);
    quantized_.Read(piece, residual);
    SiteInput(site, ctx, quantized, batch, residual, y);
    if (keep) kept_.Keep(x, y);
    Subtract(x, y);
    AddMoments(backend_, y, y, out.gram.view());
    AddMoments(backend_, x, y, out.drift.view());
    backend_.AbsSum(y, abs.view());
    out.tokens += shape[0];
  }
  for (float a : abs.Span<const float>()) {
    out.mean_abs.push_back(a / static_cast<float>(out.tokens));
  }
  return out;
}

void LayerPair::Rescale(std::span<const float> s) {
  inverse_.resize(s.size(), 1.0f);
  for (size_t i = 0; i < s.size(); ++i) inverse_[i] /= s[i];
}

void LayerPair::Advance(Role site, const LayerParams& original, const LayerParams& current,
                        const std::function<void()>& poll) {
  Workspace scratch(backend_);
  const auto pieces = full_.Pieces(PieceTokens(model_, layer_));
  const int64_t k = SiteSize(site);
  const auto advance = [&](ActivationStore& store, const LayerParams& params, int stream) {
    const Linear out = MakeLinear(backend_, params.linears.at(site));
    std::unique_ptr<DecoderLayer> parts;
    if (kept_.pieces() < pieces.size()) {
      parts = std::make_unique<DecoderLayer>(InputParts(site, params));
    }
    ExecContext ctx{backend_, scratch, DType::kF32, nullptr};
    for (size_t i = 0; i < pieces.size(); ++i) {
      poll();
      const Workspace::Scope scope(scratch);
      const TensorView residual = scratch.Take(DType::kF32, {pieces[i].rows(), model_.hidden});
      const TensorView x = scratch.Take(DType::kF32, {pieces[i].rows(), k});
      const TensorView y = scratch.Take(DType::kF32, residual.shape);
      store.Read(pieces[i], residual);
      if (i < kept_.pieces()) {
        kept_.Read(i, stream, x);
        if (stream == 1 && !inverse_.empty()) ScaleColumns(inverse_, x);
      } else {
        BatchBuilder builder;
        const Batch batch = BuildFreshBatch(builder, backend_, store.Blocks(pieces[i]));
        SiteInput(site, ctx, *parts, batch, residual, x);
      }
      out.Forward(ctx, x, y);
      backend_.Add(residual, y);
      store.Write(pieces[i], residual);
    }
    store.Flip();
  };
  advance(full_, original, 0);
  advance(quantized_, current, 1);
  kept_.Clear();
}

}  // namespace awq
