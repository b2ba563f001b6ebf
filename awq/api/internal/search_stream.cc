#include "awq/api/internal/search_stream.h"

#include "awq/quant/embed_blocks.h"
#include "awq/quant/layer_runner.h"
#include "awq/quant/layer_weights.h"

namespace awq {
namespace {

bool HasExperts(const ModelSpec& model, int64_t layer) {
  return std::holds_alternative<MoeSpec>(model.layers[static_cast<size_t>(layer)].ffn);
}

}  // namespace

SearchStream::SearchStream(const SearchContext& context, std::span<const TokenBlock> blocks,
                           const std::string& name)
    : context_(context),
      blocks_(blocks),
      store_(std::make_unique<ActivationStore>(blocks, context.source.spec().hidden,
                                               context.folder / name)) {
  EmbedBlocks(context_.backend, context_.source, *store_, context_.poll);
  store_->Commit();
}

SearchStream::SearchStream(const SearchStream& from, const std::string& name)
    : context_(from.context_),
      blocks_(from.blocks_),
      store_(std::make_unique<ActivationStore>(blocks_, from.store_->hidden(),
                                               context_.folder / name)) {
  for (const BlockPiece& piece : from.store_->Pieces(1)) {
    const Tensor rows = MakeTensor(DType::kF32, {piece.rows(), store_->hidden()});
    from.store_->Read(piece, rows.view());
    store_->Write(piece, rows.view());
  }
  store_->Flip();
  store_->Commit();
}

void SearchStream::Advance(int64_t layer, const LayerParams& params, const ExpertWeights& experts) {
  const ModelSpec& model = context_.source.spec();
  if (HasExperts(model, layer)) {
    LayerRunner(context_.backend, model, layer, *store_)
        .AdvanceToExperts(ShareDense(params), nullptr, context_.poll);
    const DecoderLayer rest =
        MakeDecoderLayer(context_.backend, model, layer, ShareFeedForward(params));
    ExpertStream(context_.backend, model, layer, experts, rest, *store_, context_.kept)
        .Advance(context_.poll);
  } else {
    LayerRunner(context_.backend, model, layer, *store_).Advance(params, nullptr, context_.poll);
  }
  store_->Commit();
}

void SearchStream::Observe(int64_t layer, const LayerParams& params, Tap& tap,
                           const std::function<void(int64_t)>& seen) {
  const ModelSpec& model = context_.source.spec();
  if (HasExperts(model, layer)) {
    LayerRunner(context_.backend, model, layer, *store_)
        .AdvanceToExperts(ShareDense(params), &tap, context_.poll);
    seen(-1);
    const DecoderLayer rest =
        MakeDecoderLayer(context_.backend, model, layer, ShareFeedForward(params));
    ExpertStream stream(
        context_.backend, model, layer, [&](int64_t e) { return ShareExpert(params, e); }, rest,
        *store_, context_.kept);
    for (int64_t e = 0; params.linears.contains({Role::kExpertGate, e}); ++e) {
      stream.Observe(e, tap, context_.poll);
      seen(e);
    }
    stream.Advance(context_.poll);
  } else {
    LayerRunner(context_.backend, model, layer, *store_).Advance(params, &tap, context_.poll);
    seen(-1);
  }
  store_->Commit();
}

void SearchStream::Logits(const CausalLm& ends, int64_t first, int64_t count,
                          std::vector<float>& logits) const {
  Workspace scratch(context_.backend);
  ExecContext ctx{context_.backend, scratch, DType::kF32, nullptr};
  const Tensor rows = MakeTensor(DType::kF32, {count, store_->hidden()});
  store_->Read({0, 0, first, first + count}, rows.view());
  logits.resize(static_cast<size_t>(count * ends.spec().vocab));
  ends.Logits(ctx, rows.view(), TensorView(logits.data(), DType::kF32, {count, ends.spec().vocab}));
}

}  // namespace awq
