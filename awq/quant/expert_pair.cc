#include "awq/quant/expert_pair.h"

#include <algorithm>
#include <optional>

#include "awq/quant/gate_and_up.h"
#include "awq/quant/layer_runner.h"

namespace awq {

ExpertPair::ExpertPair(Backend& backend, const ModelSpec& model, int64_t layer,
                       ActivationStore& full, ActivationStore& quantized, int64_t moment_columns,
                       const LayerParams& current, const std::function<void()>& poll)
    : backend_(backend),
      model_(model),
      spec_(model.layers[static_cast<size_t>(layer)]),
      layer_(layer),
      full_(full),
      quantized_(quantized),
      moment_columns_(moment_columns) {
  const auto& moe = std::get<MoeSpec>(spec_.ffn);
  tokens_.resize(static_cast<size_t>(moe.experts));
  const Norm norm = MakeNorm(backend_, spec_.norm, Role::kFfnNorm, model_.hidden, current);
  const Linear router = MakeLinear(backend_, current.linears.at(Role::kRouter));
  Tensor bias;
  if (moe.bias_correction) bias = ToDevice(backend_, current.vectors.at(Role::kRouterBias).view());
  Workspace scratch(backend_);
  ExecContext ctx{backend_, scratch, DType::kF32, nullptr};
  for (const auto& piece : quantized_.Pieces(PieceTokens(model_, layer_))) {
    poll();
    const Workspace::Scope scope(scratch);
    const TensorView x = scratch.Take(DType::kF32, {piece.rows(), model_.hidden});
    quantized_.Read(piece, x);
    norm.Forward(ctx, x, x);
    const TensorView logits = scratch.Take(DType::kF32, {x.dim(0), moe.experts});
    router.Forward(ctx, x, logits);
    const Routing routing = TakeRouting(ctx, moe, x.dim(0));
    backend_.Route(ToArgs(moe), logits, bias.view(), routing);
    const HostRouting host = ToHost(backend_, routing);
    for (size_t e = 0; e < tokens_.size(); ++e) {
      for (int32_t i = host.starts[e]; i < host.starts[e + 1]; ++i) {
        const int32_t pair = host.pairs[static_cast<size_t>(i)];
        tokens_[e].push_back(static_cast<int32_t>(piece.first_row) +
                             pair / static_cast<int32_t>(moe.active));
      }
    }
  }
}

std::span<const int32_t> ExpertPair::TokensIn(const ActivationStore::Piece& piece,
                                              int64_t expert) const {
  const std::vector<int32_t>& all = tokens_[static_cast<size_t>(expert)];
  const auto begin = std::lower_bound(all.begin(), all.end(), piece.first_row);
  const auto end = std::lower_bound(begin, all.end(), piece.end_row);
  return {begin, end};
}

SiteMoments ExpertPair::Observe(LinearId site, const LayerParams& original,
                                const LayerParams& current,
                                const std::function<void()>& poll) const {
  const auto& moe = std::get<MoeSpec>(spec_.ffn);
  const bool down = site.role == Role::kExpertDown;
  const int64_t k = down ? moe.size : model_.hidden;
  const size_t count = tokens_[static_cast<size_t>(site.expert)].size();
  if (static_cast<int64_t>(count) < kFewTokens) {
    return WeightOnlyMoments(k, static_cast<int64_t>(count), moment_columns_);
  }
  const auto norm = [&](const LayerParams& params) {
    return MakeNorm(backend_, spec_.norm, Role::kFfnNorm, model_.hidden, params);
  };
  // Gate and up have been rescaled with the norm, which the full-precision stream then passes, too;
  // what down reads in it comes of the original weights behind the original norm.
  const Norm full_norm = norm(down ? original : current);
  const Norm quantized_norm = norm(current);
  std::optional<GateAndUp> full, quantized;
  if (down) {
    full.emplace(backend_, original, site.expert, moe.activation);
    quantized.emplace(backend_, current, site.expert, moe.activation);
  }
  Workspace scratch(backend_);
  ExecContext ctx{backend_, scratch, DType::kF32, nullptr};
  const auto input = [&](const Norm& n, const std::optional<GateAndUp>& part,
                         const TensorView& rows) {
    n.Forward(ctx, rows, rows);
    return part ? part->Hidden(ctx, rows) : rows;
  };
  SiteMoments out;
  out.gram = MakeMoments(backend_, k, moment_columns_);
  out.drift = MakeMoments(backend_, k, moment_columns_);
  out.tokens = static_cast<int64_t>(count);
  const Tensor abs = MakeTensor(DType::kF32, {k});
  for (const auto& piece : quantized_.Pieces(PieceTokens(model_, layer_))) {
    const std::span<const int32_t> tokens = TokensIn(piece, site.expert);
    if (tokens.empty()) continue;
    poll();
    const Workspace::Scope scope(scratch);
    const Shape shape{static_cast<int64_t>(tokens.size()), model_.hidden};
    const TensorView full_rows = scratch.Take(DType::kF32, shape);
    const TensorView rows = scratch.Take(DType::kF32, shape);
    full_.ReadRows(tokens, full_rows);
    quantized_.ReadRows(tokens, rows);
    const TensorView x = input(full_norm, full, full_rows);
    const TensorView y = input(quantized_norm, quantized, rows);
    const auto a = x.Span<float>();
    const auto b = y.Span<const float>();
    for (size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
    AddMoments(backend_, y, y, out.gram.view());
    AddMoments(backend_, x, y, out.drift.view());
    backend_.AbsSum(y, abs.view());
  }
  for (float a : abs.Span<const float>()) {
    out.mean_abs.push_back(a / static_cast<float>(count));
  }
  return out;
}

}  // namespace awq
