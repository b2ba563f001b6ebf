#include "awq/quant/expert_stream.h"

#include <algorithm>

#include "awq/quant/gate_and_up.h"
#include "awq/quant/layer_runner.h"

namespace awq {
ExpertStream::ExpertStream(Backend& backend, const ModelSpec& model, int64_t layer,
                           ExpertWeights experts, const DecoderLayer& rest, ActivationStore& store,
                           KeptRows& kept)
    : backend_(backend),
      model_(model),
      spec_(model.layers[static_cast<size_t>(layer)]),
      moe_(std::get<MoeSpec>(spec_.ffn)),
      layer_(layer),
      experts_(std::move(experts)),
      rest_(rest),
      store_(store),
      kept_(kept),
      pieces_(store.Pieces(PieceTokens(model, layer))) {}

void ExpertStream::Observe(int64_t expert, Tap& tap, const std::function<void()>& poll) {
  Route();
  Workspace scratch(backend_);  // the memory is needed elsewhere afterwards
  ExecContext ctx{backend_, scratch, DType::kF32, nullptr};
  const GateAndUp inner(backend_, experts_(expert), expert, moe_.activation);
  EachInput(ctx, expert, 0, pieces_.size(), [&](const TensorView& x) {
    poll();
    tap.OnInput({Role::kExpertGate, expert}, layer_, x);
    tap.OnInput({Role::kExpertDown, expert}, layer_, inner.Hidden(ctx, x));
  });
}

void ExpertStream::Advance(const std::function<void()>& poll) {
  Route();
  Workspace scratch(backend_);
  ExecContext ctx{backend_, scratch, DType::kF32, nullptr};
  const int64_t row_bytes = moe_.active * model_.hidden * 4;
  for (size_t begin = 0; begin < pieces_.size();) {
    size_t end = begin + 1;
    while (end < pieces_.size() &&
           (pieces_[end].end_row - pieces_[begin].first_row) * row_bytes <= kept_.limit()) {
      ++end;
    }
    for (int64_t e = 0; e < moe_.experts; ++e) {
      poll();
      RunExpert(ctx, e, begin, end);
    }
    poll();
    Sum(ctx, begin, end);
    kept_.Clear();
    begin = end;
  }
  store_.Flip();
}

TensorView ExpertStream::Input(ExecContext& ctx, const ActivationStore::Piece& piece,
                               const TensorView& residual) {
  store_.Read(piece, residual);
  const TensorView x = ctx.scratch.Take(DType::kF32, residual.shape);
  rest_.FfnInput(ctx, residual, x);
  return x;
}

void ExpertStream::Route() {
  if (!routed_.empty()) return;
  Workspace scratch(backend_);
  ExecContext ctx{backend_, scratch, DType::kF32, nullptr};
  for (const auto& piece : pieces_) {
    const Workspace::Scope scope(ctx.scratch);
    const TensorView residual = ctx.scratch.Take(DType::kF32, {piece.rows(), model_.hidden});
    const TensorView x = Input(ctx, piece, residual);
    routed_.push_back(ToHost(backend_, std::get<Moe>(rest_.ffn()).Route(ctx, x)));
  }
}

std::span<const int32_t> ExpertStream::PairsOf(size_t piece, int64_t expert) const {
  const HostRouting& routed = routed_[piece];
  const auto at = static_cast<size_t>(expert);
  const auto begin = static_cast<size_t>(routed.starts[at]);
  const auto end = static_cast<size_t>(routed.starts[at + 1]);
  return std::span(routed.pairs).subspan(begin, end - begin);
}

void ExpertStream::EachInput(ExecContext& ctx, int64_t expert, size_t begin, size_t end,
                             const std::function<void(const TensorView&)>& use) {
  for (size_t i = begin; i < end; ++i) {
    std::vector<int32_t> rows;
    for (const int32_t pair : PairsOf(i, expert)) {
      rows.push_back(static_cast<int32_t>(pieces_[i].first_row + pair / moe_.active));
    }
    if (rows.empty()) continue;
    const Workspace::Scope scope(ctx.scratch);
    const TensorView x =
        ctx.scratch.Take(DType::kF32, {static_cast<int64_t>(rows.size()), model_.hidden});
    store_.ReadRows(rows, x);
    rest_.FfnInput(ctx, x, x);
    use(x);
  }
}

void ExpertStream::RunExpert(ExecContext& ctx, int64_t expert, size_t begin, size_t end) {
  const LayerParams weights = experts_(expert);
  const GateAndUp inner(backend_, weights, expert, moe_.activation);
  const Linear down = MakeLinear(backend_, weights.linears.at({Role::kExpertDown, expert}));
  EachInput(ctx, expert, begin, end, [&](const TensorView& x) {
    down.Forward(ctx, inner.Hidden(ctx, x), x);
    kept_.Hold(x);
  });
}

void ExpertStream::Sum(ExecContext& ctx, size_t begin, size_t end) {
  // What was kept lies expert by expert, those of a piece apart.
  std::vector<std::vector<size_t>> places(end - begin);
  size_t next = 0;
  for (int64_t e = 0; e < moe_.experts; ++e) {
    for (size_t i = begin; i < end; ++i) {
      places[i - begin].push_back(next);
      if (!PairsOf(i, e).empty()) ++next;
    }
  }
  for (size_t i = begin; i < end; ++i) {
    const Workspace::Scope scope(ctx.scratch);
    const int64_t tokens = pieces_[i].rows();
    const TensorView residual = ctx.scratch.Take(DType::kF32, {tokens, model_.hidden});
    const TensorView x = Input(ctx, pieces_[i], residual);
    const TensorView out = ctx.scratch.Take(DType::kF32, {tokens * moe_.active, model_.hidden});
    for (int64_t e = 0; e < moe_.experts; ++e) {
      const auto pairs = PairsOf(i, e);
      if (pairs.empty()) continue;
      const Workspace::Scope inner(ctx.scratch);
      const TensorView rows =
          ctx.scratch.Take(DType::kF32, {static_cast<int64_t>(pairs.size()), model_.hidden});
      kept_.Read(places[i - begin][static_cast<size_t>(e)], rows);
      for (size_t r = 0; r < pairs.size(); ++r) {
        std::copy_n(rows.As<const float>() + static_cast<int64_t>(r) * model_.hidden, model_.hidden,
                    out.As<float>() + pairs[r] * model_.hidden);
      }
    }
    const Moe& moe = std::get<Moe>(rest_.ffn());
    moe.Sum(ctx, moe.Route(ctx, x), x, out, x);
    if (IsParallel(spec_.residual)) store_.ReadNext(pieces_[i], residual);
    rest_.AddFfn(ctx, residual, x);
    store_.Write(pieces_[i], residual);
  }
}

}  // namespace awq
