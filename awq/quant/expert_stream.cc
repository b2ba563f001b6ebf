#include "awq/quant/expert_stream.h"

#include <algorithm>

#include "awq/quant/gate_and_up.h"
#include "awq/quant/layer_runner.h"

namespace awq {
namespace {

// Pairs of the expert.
std::span<const int32_t> PairsOf(const HostRouting& routed, int64_t expert) {
  const auto at = static_cast<size_t>(expert);
  const auto begin = static_cast<size_t>(routed.starts[at]);
  const auto end = static_cast<size_t>(routed.starts[at + 1]);
  return std::span(routed.pairs).subspan(begin, end - begin);
}

}  // namespace

ExpertStream::ExpertStream(Backend& backend, const ModelSpec& model, int64_t layer,
                           const LayerParams& params, const DecoderLayer& rest, KeptRows& kept)
    : backend_(backend),
      model_(model),
      spec_(model.layers[static_cast<size_t>(layer)]),
      moe_(std::get<MoeSpec>(spec_.ffn)),
      layer_(layer),
      params_(params),
      rest_(rest),
      kept_(kept),
      scratch_(backend),
      ctx_{backend, scratch_, DType::kF32, nullptr} {}

void ExpertStream::Advance(ActivationStore& store, const std::function<void()>& poll) {
  const Pieces all = store.Pieces(PieceTokens(model_, layer_));
  const int64_t row_bytes = moe_.active * model_.hidden * 4;
  for (size_t begin = 0; begin < all.size();) {
    size_t end = begin + 1;
    while (end < all.size() &&
           (all[end].end_row - all[begin].first_row) * row_bytes <= kept_.limit()) {
      ++end;
    }
    const Pieces pieces(all.begin() + static_cast<int64_t>(begin),
                        all.begin() + static_cast<int64_t>(end));
    const std::vector<HostRouting> routed = Route(store, pieces);
    for (int64_t e = 0; e < moe_.experts; ++e) {
      poll();
      RunExpert(e, store, pieces, routed);
    }
    poll();
    Sum(store, pieces, routed);
    kept_.Clear();
    begin = end;
  }
  store.Flip();
}

TensorView ExpertStream::Input(const ActivationStore& store, const ActivationStore::Piece& piece,
                               const TensorView& residual) {
  store.Read(piece, residual);
  const TensorView x = scratch_.Take(DType::kF32, residual.shape);
  rest_.FfnInput(ctx_, residual, x);
  return x;
}

std::vector<HostRouting> ExpertStream::Route(const ActivationStore& store, const Pieces& pieces) {
  std::vector<HostRouting> out;
  for (const auto& piece : pieces) {
    const Workspace::Scope scope(scratch_);
    const TensorView residual = scratch_.Take(DType::kF32, {piece.rows(), model_.hidden});
    const TensorView x = Input(store, piece, residual);
    out.push_back(ToHost(backend_, std::get<Moe>(rest_.ffn()).Route(ctx_, x)));
  }
  return out;
}

void ExpertStream::RunExpert(int64_t expert, const ActivationStore& store, const Pieces& pieces,
                             const std::vector<HostRouting>& routed) {
  const GateAndUp inner(backend_, params_, expert, moe_.activation);
  const Linear down = MakeLinear(backend_, params_.linears.at({Role::kExpertDown, expert}));
  for (size_t i = 0; i < pieces.size(); ++i) {
    std::vector<int32_t> rows;
    for (const int32_t pair : PairsOf(routed[i], expert)) {
      rows.push_back(static_cast<int32_t>(pieces[i].first_row + pair / moe_.active));
    }
    if (rows.empty()) continue;
    const Workspace::Scope scope(scratch_);
    const auto count = static_cast<int64_t>(rows.size());
    const TensorView x = scratch_.Take(DType::kF32, {count, model_.hidden});
    store.ReadRows(rows, x);
    rest_.FfnInput(ctx_, x, x);
    down.Forward(ctx_, inner.Hidden(ctx_, x), x);
    kept_.Hold(x);
  }
}

void ExpertStream::Sum(ActivationStore& store, const Pieces& pieces,
                       const std::vector<HostRouting>& routed) {
  // What was kept lies expert by expert, those of a piece apart.
  std::vector<std::vector<size_t>> places(pieces.size());
  size_t next = 0;
  for (int64_t e = 0; e < moe_.experts; ++e) {
    for (size_t i = 0; i < pieces.size(); ++i) {
      places[i].push_back(next);
      if (!PairsOf(routed[i], e).empty()) ++next;
    }
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Workspace::Scope scope(scratch_);
    const int64_t tokens = pieces[i].rows();
    const TensorView residual = scratch_.Take(DType::kF32, {tokens, model_.hidden});
    const TensorView x = Input(store, pieces[i], residual);
    const TensorView out = scratch_.Take(DType::kF32, {tokens * moe_.active, model_.hidden});
    for (int64_t e = 0; e < moe_.experts; ++e) {
      const auto pairs = PairsOf(routed[i], e);
      if (pairs.empty()) continue;
      const Workspace::Scope inner(scratch_);
      const TensorView rows =
          scratch_.Take(DType::kF32, {static_cast<int64_t>(pairs.size()), model_.hidden});
      kept_.Read(places[i][static_cast<size_t>(e)], rows);
      for (size_t r = 0; r < pairs.size(); ++r) {
        std::copy_n(rows.As<const float>() + static_cast<int64_t>(r) * model_.hidden, model_.hidden,
                    out.As<float>() + pairs[r] * model_.hidden);
      }
    }
    const Moe& moe = std::get<Moe>(rest_.ffn());
    moe.Sum(ctx_, moe.Route(ctx_, x), x, out, x);
    if (IsParallel(spec_.residual)) store.ReadNext(pieces[i], residual);
    rest_.AddFfn(ctx_, residual, x);
    store.Write(pieces[i], residual);
  }
}

}  // namespace awq
