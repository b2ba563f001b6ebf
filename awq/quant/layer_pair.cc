#include "awq/quant/layer_pair.h"

#include <algorithm>
#include <optional>

#include "awq/nn/batch_builder.h"
#include "awq/quant/expert_stream.h"
#include "awq/quant/layer_weights.h"
#include "awq/quant/scale_edges.h"

namespace awq {
namespace {

void Subtract(const TensorView& to, const TensorView& x) {
  const auto a = to.Span<float>();
  const auto b = x.Span<const float>();
  for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
}

void SubtractFromRows(const TensorView& to, const TensorView& x) {
  const auto a = to.Span<float>();
  const auto b = x.Span<const float>();
  for (size_t row = 0; row < a.size(); row += b.size()) {
    for (size_t c = 0; c < b.size(); ++c) a[row + c] -= b[c];
  }
}

// Copies what the linears of a site read.
class CatchingTap : public Tap {
 public:
  CatchingTap(LinearId site, const TensorView& to) : site_(site), to_(to) {}
  void OnInput(LinearId id, int64_t, const TensorView& x) override {
    if (id != site_) return;
    const Tensor dense = ConvertTo(x, DType::kF32);
    std::copy_n(dense.As<const float>(), to_.NumElements(), to_.As<float>());
  }

 private:
  LinearId site_;
  TensorView to_;
};

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

bool LayerPair::EndsPlainly(LinearId site) const {
  const LayerSpec& spec = model_.layers[static_cast<size_t>(layer_)];
  if (spec.residual != Residual::kSequential || spec.residual_scale != 1) return false;
  return site == Role::kO || (site == Role::kDown && std::holds_alternative<MlpSpec>(spec.ffn));
}

int64_t LayerPair::SiteSize(LinearId site) const {
  for (const LinearShape& shape : LayerLinears(model_, layer_)) {
    if (SiteOf(shape.id) == site) return shape.k;
  }
  Fail(ErrorCode::kInternal, "a layer without ", LinearName(site));
}

void LayerPair::SiteInput(LinearId site, ExecContext& ctx, const DecoderLayer& layer,
                          const Batch& batch, const TensorView& residual,
                          const TensorView& x) const {
  const Workspace::Scope scope(ctx.scratch);
  const auto norm = [&] { return ctx.scratch.Take(DType::kF32, residual.shape); };
  switch (site.role) {
    case Role::kQ:
    case Role::kKvA:
      return layer.AttentionInput(ctx, residual, x);
    case Role::kQB:
    case Role::kKvB:
    case Role::kO: {
      const TensorView y = norm();
      layer.AttentionInput(ctx, residual, y);
      if (site != Role::kO) return Catch(site, ctx, layer, batch, y, x);
      return layer.Mix(ctx, batch, pages_->layers()[0], y, x);
    }
    case Role::kGate:
    case Role::kRouter:
      return layer.FfnInput(ctx, residual, x);
    default: {
      const TensorView y = norm();
      layer.FfnInput(ctx, residual, y);
      if (site == Role::kSharedDown) return std::get<Moe>(layer.ffn()).shared()->Hidden(ctx, y, x);
      return std::get<Mlp>(layer.ffn()).Hidden(ctx, y, x);
    }
  }
}

void LayerPair::Catch(LinearId site, ExecContext& ctx, const DecoderLayer& layer,
                      const Batch& batch, const TensorView& norm, const TensorView& x) const {
  CatchingTap tap(site, x);
  ctx.tap = &tap;
  const TensorView mixed = ctx.scratch.Take(DType::kF32, {norm.dim(0), SiteSize(Role::kO)});
  layer.Mix(ctx, batch, pages_->layers()[0], norm, mixed);
  ctx.tap = nullptr;
}

DecoderLayer LayerPair::InputParts(LinearId site, const LayerParams& params) const {
  std::vector<LinearId> ids;
  switch (site.role) {
    case Role::kQB:
    case Role::kKvB:
    case Role::kO:
      ids = {Role::kQ, Role::kK, Role::kV, Role::kQA, Role::kKvA, Role::kQB, Role::kKvB};
      break;
    case Role::kDown:
      ids = {Role::kGate, Role::kUp};
      break;
    case Role::kSharedDown:
      ids = {Role::kSharedGate, Role::kSharedUp};
      break;
    default:
      break;
  }
  return MakeDecoderLayer(backend_, model_, layer_, ShareSome(params, ids));
}

SiteMoments LayerPair::Observe(LinearId site, const LayerParams& original,
                               const LayerParams& current, const std::function<void()>& poll) {
  kept_.Clear();
  inverse_.clear();
  if (site.expert >= 0) {
    if (!experts_) {
      experts_ = std::make_unique<ExpertPair>(backend_, model_, layer_, full_, quantized_,
                                              moment_columns_, current, poll);
    }
    return experts_->Observe(site, original, current, poll);
  }
  Workspace scratch(backend_);  // its memory is needed elsewhere afterwards
  const DecoderLayer full = InputParts(site, original);
  const DecoderLayer quantized = InputParts(site, current);
  ExecContext ctx{backend_, scratch, DType::kF32, nullptr};
  const int64_t k = SiteSize(site);
  const bool keep = site == Role::kO || site == Role::kDown;
  const bool ends = EndsPlainly(site);
  std::optional<Linear> full_out, current_out;
  TensorView bias;
  SiteMoments out;
  out.gram = MakeMoments(backend_, k, moment_columns_);
  const bool whole = out.gram.shape()[1] == k;
  if (ends) {
    full_out.emplace(MakeLinear(backend_, original.linears.at(site)));
    if (!whole) current_out.emplace(MakeLinear(backend_, current.linears.at(site)));
    bias = current.linears.at(site).bias.view();
    out.output_drift = MakeTensor(DType::kF32, {model_.hidden, k});
  } else {
    out.drift = MakeMoments(backend_, k, moment_columns_);
  }
  const Tensor abs = MakeTensor(DType::kF32, {k});
  for (const auto& piece : full_.Pieces(PieceTokens(model_, layer_))) {
    poll();
    const Workspace::Scope scope(scratch);
    BatchBuilder builder;
    const Batch batch = BuildFreshBatch(builder, backend_, full_.Blocks(piece));
    const Shape shape{piece.rows(), k};
    const TensorView x = scratch.Take(DType::kF32, shape);
    const TensorView y = scratch.Take(DType::kF32, shape);
    const Shape stream{piece.rows(), model_.hidden};
    const TensorView full_rows = scratch.Take(DType::kF32, stream);
    const TensorView rows = scratch.Take(DType::kF32, stream);
    full_.Read(piece, full_rows);
    quantized_.Read(piece, rows);
    SiteInput(site, ctx, full, batch, full_rows, x);
    SiteInput(site, ctx, quantized, batch, rows, y);
    if (keep) kept_.Keep(y);
    if (ends) {
      const TensorView missing = scratch.Take(DType::kF32, stream);
      full_out->Forward(ctx, x, missing);
      backend_.Add(full_rows, missing);
      full_.Write(piece, full_rows);
      backend_.Copy(missing, full_rows);
      Subtract(missing, rows);
      if (!whole) {  // bias included
        current_out->Forward(ctx, y, rows);
        Subtract(missing, rows);
      } else if (!bias.empty()) {
        SubtractFromRows(missing, bias);
      }
      backend_.CrossGram(missing, y, out.output_drift.view());
    } else {
      Subtract(x, y);
      AddMoments(backend_, x, y, out.drift.view());
    }
    AddMoments(backend_, y, y, out.gram.view());
    backend_.AbsSum(y, abs.view());
    out.tokens += shape[0];
  }
  if (ends) full_.Flip();
  for (float a : abs.Span<const float>()) {
    out.mean_abs.push_back(a / static_cast<float>(out.tokens));
  }
  if (ends && whole) {  // so far Σ (r* + y* - r) xᵀ; and Σ W·x xᵀ = W·H
    const Tensor product = backend_.Alloc(DType::kF32, out.output_drift.shape());
    backend_.MatMul(DenseWeight(current, site), out.gram.view(), false, product.view());
    Subtract(out.output_drift.view(), product.view());
  }
  return out;
}

void LayerPair::Rescale(std::span<const float> s) {
  inverse_.resize(s.size(), 1.0f);
  for (size_t i = 0; i < s.size(); ++i) inverse_[i] /= s[i];
}

void LayerPair::Advance(LinearId site, const LayerParams& original, const LayerParams& current,
                        const std::function<void()>& poll) {
  const LayerSpec& spec = model_.layers[static_cast<size_t>(layer_)];
  const bool attention = site.role == Role::kO;
  const bool parallel = IsParallel(spec.residual);
  if (!attention && std::holds_alternative<MoeSpec>(spec.ffn)) {
    return AdvanceExperts(original, current, poll);
  }
  Workspace scratch(backend_);
  const auto pieces = full_.Pieces(PieceTokens(model_, layer_));
  // `kept` pieces of what the site reads need not be computed.
  const auto advance = [&](ActivationStore& store, const LayerParams& params, size_t kept) {
    const Linear out = MakeLinear(backend_, params.linears.at(site));
    const DecoderLayer layer =
        kept == pieces.size() ? MakeDecoderLayer(backend_, model_, layer_, ShareSome(params, {}))
                              : InputParts(site, params);
    ExecContext ctx{backend_, scratch, DType::kF32, nullptr};
    for (size_t i = 0; i < pieces.size(); ++i) {
      poll();
      const Workspace::Scope scope(scratch);
      BatchBuilder builder;
      const Batch batch = BuildFreshBatch(builder, backend_, store.Blocks(pieces[i]));
      const TensorView residual = scratch.Take(DType::kF32, {pieces[i].rows(), model_.hidden});
      const TensorView y = scratch.Take(DType::kF32, residual.shape);
      store.Read(pieces[i], residual);
      const TensorView x = scratch.Take(DType::kF32, {pieces[i].rows(), SiteSize(site)});
      if (i < kept) {
        kept_.Read(i, x);
        if (!inverse_.empty()) ScaleColumns(x, inverse_);
      } else {
        SiteInput(site, ctx, layer, batch, residual, x);
      }
      out.Forward(ctx, x, y);
      if (attention) {
        layer.AddAttention(ctx, residual, y);
      } else {
        if (parallel) store.ReadNext(pieces[i], residual);  // with the attention's output
        layer.AddFfn(ctx, residual, y);
      }
      store.Write(pieces[i], residual);
    }
    // Both parts of a parallel block read the stream before it.
    if (!(attention && parallel)) store.Flip();
  };
  if (!EndsPlainly(site)) advance(full_, original, 0);
  advance(quantized_, current, kept_.pieces());
  kept_.Clear();
}

void LayerPair::AdvanceExperts(const LayerParams& original, const LayerParams& current,
                               const std::function<void()>& poll) {
  kept_.Clear();
  const auto advance = [&](ActivationStore& store, const LayerParams& params) {
    const DecoderLayer rest = MakeDecoderLayer(backend_, model_, layer_, ShareFeedForward(params));
    const auto experts = [&](int64_t e) { return ShareExpert(params, e); };
    ExpertStream(backend_, model_, layer_, experts, rest, store, kept_).Advance(poll);
  };
  advance(full_, original);
  advance(quantized_, current);
}

}  // namespace awq
