#include "awq/nn/decoder_layer.h"

namespace awq {

void DecoderLayer::Forward(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                           const TensorView& residual) const {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView x = ctx.scratch.Take(ctx.act, residual.shape);
  if (Continue(ctx, batch, cache, residual, x, nullptr) != nullptr) AddFfn(ctx, residual, x);
}

const DecoderLayer* DecoderLayer::Continue(ExecContext& ctx, const Batch& batch,
                                           const PagedKv& cache, const TensorView& residual,
                                           const TensorView& x, const DecoderLayer* before) const {
  if (before != nullptr) {
    before->AddAndNorm(ctx, before->norms_.ffn_post, norms_.attn, residual, x);
  } else {
    AttentionInput(ctx, residual, x);
  }
  if (IsParallel(residual_)) {
    const Workspace::Scope scope(ctx.scratch);
    const TensorView y = ctx.scratch.Take(ctx.act, residual.shape);
    if (norms_.ffn) norms_.ffn->Forward(ctx, residual, y);
    Feed(ctx, norms_.ffn ? y : x, y);
    AddFfn(ctx, residual, y);
    Attend(ctx, batch, cache, x, x);
    return this;
  }
  Attend(ctx, batch, cache, x, x);
  if (residual_ == Residual::kPost) {
    AddAttention(ctx, residual, x);
    FfnInput(ctx, residual, x);
    Feed(ctx, x, x);
    AddFfn(ctx, residual, x);
    return nullptr;
  }
  AddAndNorm(ctx, norms_.attn_post, *norms_.ffn, residual, x);
  Feed(ctx, x, x);
  return this;
}

void DecoderLayer::AttentionInput(ExecContext& ctx, const TensorView& residual,
                                  const TensorView& x) const {
  if (residual_ == Residual::kPost) return ctx.backend.Scale({}, residual, x);
  norms_.attn.Forward(ctx, residual, x);
}

void DecoderLayer::FfnInput(ExecContext& ctx, const TensorView& residual,
                            const TensorView& x) const {
  if (residual_ == Residual::kPost) return ctx.backend.Scale({}, residual, x);
  (norms_.ffn ? *norms_.ffn : norms_.attn).Forward(ctx, residual, x);
}

void DecoderLayer::AddAttention(ExecContext& ctx, const TensorView& residual,
                                const TensorView& y) const {
  Finish(ctx, norms_.attn_post, y);
  ctx.backend.Add(residual, y);
  if (residual_ == Residual::kPost) norms_.attn.Forward(ctx, residual, residual);
}

void DecoderLayer::AddFfn(ExecContext& ctx, const TensorView& residual, const TensorView& y) const {
  Finish(ctx, norms_.ffn_post, y);
  ctx.backend.Add(residual, y);
  if (residual_ == Residual::kPost) norms_.ffn->Forward(ctx, residual, residual);
}

void DecoderLayer::Finish(ExecContext& ctx, const std::optional<Norm>& post,
                          const TensorView& y) const {
  if (post) post->Forward(ctx, y, y);
  if (scale_ != 1) ctx.backend.Scale({.factor = scale_}, y, y);
}

void DecoderLayer::AddAndNorm(ExecContext& ctx, const std::optional<Norm>& post, const Norm& next,
                              const TensorView& residual, const TensorView& x) const {
  if (post && scale_ == 1) return next.AddForward(ctx, *post, residual, x, x);
  Finish(ctx, post, x);
  next.AddForward(ctx, residual, x, x);
}

void DecoderLayer::Attend(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                          const TensorView& x, const TensorView& y) const {
  std::visit([&](const auto& a) { a.Forward(ctx, batch, cache, x, y); }, attention_);
}

void DecoderLayer::Mix(ExecContext& ctx, const Batch& batch, const PagedKv& cache,
                       const TensorView& x, const TensorView& mixed) const {
  std::visit([&](const auto& a) { a.Mix(ctx, batch, cache, x, mixed); }, attention_);
}

void DecoderLayer::Feed(ExecContext& ctx, const TensorView& x, const TensorView& y) const {
  std::visit([&](const auto& f) { f.Forward(ctx, x, y); }, ffn_);
}

namespace {

// Makes the parts of one layer.
class Maker {
 public:
  Maker(Backend& backend, const ModelSpec& model, int64_t layer, const LayerParams& params)
      : backend_(backend),
        spec_(model.layers[static_cast<size_t>(layer)]),
        hidden_(model.hidden),
        layer_(layer),
        params_(params) {}

  DecoderLayer Make() const {
    LayerNorms norms{MakeNorm(Role::kAttnNorm, hidden_), {}, {}, {}};
    if (spec_.residual != Residual::kParallel) norms.ffn = MakeNorm(Role::kFfnNorm, hidden_);
    if (spec_.residual == Residual::kSandwich) {
      norms.attn_post = MakeNorm(Role::kAttnPostNorm, hidden_);
      norms.ffn_post = MakeNorm(Role::kFfnPostNorm, hidden_);
    }
    return DecoderLayer(
        spec_, std::move(norms),
        std::visit([&](const auto& a) { return MakeAttention(a); }, spec_.attention),
        std::visit([&](const auto& f) { return MakeFfn(f); }, spec_.ffn));
  }

 private:
  LinearGroup Group(std::vector<Role> roles, bool gated = false) const {
    std::erase_if(roles, [&](Role role) { return !params_.linears.contains(role); });
    return LinearGroup(backend_, layer_, params_, roles, gated && roles.size() == 2);
  }
  ExpertGroup Experts(const MoeSpec& f, const std::vector<Role>& roles, bool gated = false) const {
    if (!params_.linears.contains({roles[0], 0})) return ExpertGroup();
    return ExpertGroup(backend_, layer_, params_, f.experts, roles, gated);
  }
  Norm MakeNorm(Role role, int64_t size) const {
    return awq::MakeNorm(backend_, spec_.norm, role, size, params_);
  }

  DecoderLayer::AnyAttention MakeAttention(const GqaSpec& a) const {
    AttentionWeights weights{Group({Role::kQ, Role::kK, Role::kV}), Group({Role::kO}), {}, {}};
    if (a.qk_norm == QkNorm::kPerHead) {
      weights.q_norm = MakeNorm(Role::kQNorm, a.head_size);
      weights.k_norm = MakeNorm(Role::kKNorm, a.head_size);
    }
    return Attention(backend_, a, std::move(weights));
  }
  DecoderLayer::AnyAttention MakeAttention(const MlaSpec& a) const {
    if (!params_.linears.contains(Role::kKvB)) {
      return LatentAttention(backend_, layer_, a,
                             {Group({}), {}, {}, {}, nullptr, nullptr, Group({})});
    }
    return LatentAttention(backend_, layer_, a, MakeLatentWeights(backend_, layer_, a, params_));
  }

  DecoderLayer::AnyFfn MakeFfn(const MlpSpec& f) const {
    const std::vector<Role> inputs =
        f.gated ? std::vector{Role::kGate, Role::kUp} : std::vector{Role::kUp};
    return Mlp(f, {Group(inputs, f.gated), Group({Role::kDown})});
  }
  DecoderLayer::AnyFfn MakeFfn(const MoeSpec& f) const {
    Tensor bias;
    if (f.bias_correction) bias = ToDevice(backend_, params_.vectors.at(Role::kRouterBias).view());
    MoeWeights weights{Group({Role::kRouter}),
                       std::move(bias),
                       Experts(f, {Role::kExpertGate, Role::kExpertUp}, true),
                       Experts(f, {Role::kExpertDown}),
                       {},
                       {}};
    if (f.shared_size > 0) {
      const MlpSpec shared{.size = f.shared_size, .activation = f.activation};
      weights.shared.emplace(shared, MlpWeights{Group({Role::kSharedGate, Role::kSharedUp}, true),
                                                Group({Role::kSharedDown})});
    }
    if (f.shared_gate) weights.shared_router.emplace(Group({Role::kSharedRouter}));
    return Moe(f, std::move(weights));
  }

  Backend& backend_;
  const LayerSpec& spec_;
  int64_t hidden_;
  int64_t layer_;
  const LayerParams& params_;
};

}  // namespace

DecoderLayer MakeDecoderLayer(Backend& backend, const ModelSpec& model, int64_t layer,
                              const LayerParams& params) {
  return Maker(backend, model, layer, params).Make();
}

}  // namespace awq
