#include "awq/quant/layer_pair.h"

#include "awq/nn/batch_builder.h"

namespace awq {
namespace {

Tensor Zeros(Backend& backend, const Shape& shape) {
  Tensor out = backend.Alloc(DType::kF32, shape);
  backend.Copy(out.view(), MakeTensor(DType::kF32, shape).view());
  return out;
}

void Subtract(const TensorView& to, const TensorView& x) {
  const auto a = to.Span<float>();
  const auto b = x.Span<const float>();
  for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
}

}  // namespace

LayerPair::LayerPair(Backend& backend, const ModelSpec& model, int64_t layer, ActivationStore& full,
                     ActivationStore& quantized, int64_t keep_bytes)
    : backend_(backend),
      model_(model),
      layer_(layer),
      full_(full),
      quantized_(quantized),
      keep_bytes_(keep_bytes),
      scratch_(backend),
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

SiteMoments LayerPair::Observe(Role site, const LayerParams& original, const LayerParams& current,
                               const std::function<void()>& poll) {
  const DecoderLayer full = MakeDecoderLayer(backend_, model_, layer_, original);
  const DecoderLayer quantized = MakeDecoderLayer(backend_, model_, layer_, current);
  ExecContext ctx{backend_, scratch_, DType::kF32, nullptr};
  const int64_t k = SiteSize(site);
  const bool keep = site == Role::kO || site == Role::kDown;
  kept_.clear();
  int64_t kept_bytes = 0;
  SiteMoments out;
  out.gram = Zeros(backend_, {k, k});
  out.drift = Zeros(backend_, {k, k});
  const Tensor abs = Zeros(backend_, {k});
  for (const auto& piece : full_.Pieces(kPieceTokens)) {
    poll();
    const Workspace::Scope scope(scratch_);
    BatchBuilder builder;
    const Batch batch = BuildFreshBatch(builder, backend_, full_.Blocks(piece));
    const Shape shape{piece.end_row - piece.first_row, k};
    const TensorView x = scratch_.Take(DType::kF32, shape);
    const TensorView y = scratch_.Take(DType::kF32, shape);
    SiteInput(site, ctx, full, batch, full_.Rows(piece), x);
    SiteInput(site, ctx, quantized, batch, quantized_.Rows(piece), y);
    kept_bytes += x.NumBytes() + y.NumBytes();
    if (keep && kept_bytes <= keep_bytes_) {
      Kept& kept = kept_.emplace_back(
          Kept{backend_.Alloc(DType::kF32, shape), backend_.Alloc(DType::kF32, shape)});
      backend_.Copy(kept.full.view(), x);
      backend_.Copy(kept.quantized.view(), y);
    }
    Subtract(x, y);
    backend_.Gram(y, out.gram.view());
    backend_.CrossGram(x, y, out.drift.view());
    backend_.AbsSum(y, abs.view());
    out.tokens += shape[0];
  }
  for (float a : abs.Span<const float>()) {
    out.mean_abs.push_back(a / static_cast<float>(out.tokens));
  }
  return out;
}

void LayerPair::Rescale(std::span<const float> s) {
  std::vector<float> inverse(s.begin(), s.end());
  for (float& v : inverse) v = 1.0f / v;
  for (const Kept& kept : kept_) {
    const auto values = kept.quantized.Span<float>();
    for (size_t i = 0; i < values.size(); ++i) values[i] *= inverse[i % inverse.size()];
  }
}

void LayerPair::Advance(Role site, const LayerParams& original, const LayerParams& current,
                        const std::function<void()>& poll) {
  const Linear full_out = MakeLinear(backend_, original.linears.at(site));
  const Linear quantized_out = MakeLinear(backend_, current.linears.at(site));
  std::unique_ptr<DecoderLayer> full, quantized;
  const auto pieces = full_.Pieces(kPieceTokens);
  if (kept_.size() < pieces.size()) {
    full = std::make_unique<DecoderLayer>(MakeDecoderLayer(backend_, model_, layer_, original));
    quantized = std::make_unique<DecoderLayer>(MakeDecoderLayer(backend_, model_, layer_, current));
  }
  ExecContext ctx{backend_, scratch_, DType::kF32, nullptr};
  for (size_t i = 0; i < pieces.size(); ++i) {
    poll();
    const Workspace::Scope scope(scratch_);
    const auto step = [&](const Linear& out, const DecoderLayer* layer, const Tensor* kept,
                          const TensorView& residual) {
      const TensorView y = scratch_.Take(DType::kF32, residual.shape);
      if (kept) {
        out.Forward(ctx, kept->view(), y);
      } else {
        BatchBuilder builder;
        const Batch batch = BuildFreshBatch(builder, backend_, full_.Blocks(pieces[i]));
        const TensorView x = scratch_.Take(DType::kF32, {residual.dim(0), SiteSize(site)});
        SiteInput(site, ctx, *layer, batch, residual, x);
        out.Forward(ctx, x, y);
      }
      backend_.Add(residual, y);
    };
    const Kept* kept = i < kept_.size() ? &kept_[i] : nullptr;
    step(full_out, full.get(), kept ? &kept->full : nullptr, full_.Rows(pieces[i]));
    step(quantized_out, quantized.get(), kept ? &kept->quantized : nullptr,
         quantized_.Rows(pieces[i]));
  }
  kept_.clear();
}

}  // namespace awq
