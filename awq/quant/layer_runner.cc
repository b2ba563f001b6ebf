#include "awq/quant/layer_runner.h"

#include <algorithm>

#include "awq/nn/batch_builder.h"

namespace awq {
namespace {

int64_t PagesOf(std::span<const TokenBlock> blocks) {
  int64_t pages = 0;
  for (const TokenBlock& b : blocks) pages += PagesFor(static_cast<int64_t>(b.size()));
  return pages;
}

double SquaredDistance(const TensorView& a, const TensorView& b) {
  double sum = 0;
  const auto x = a.Span<const float>();
  const auto y = b.Span<const float>();
  for (size_t i = 0; i < x.size(); ++i) {
    const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += d * d;
  }
  return sum;
}

}  // namespace

int64_t PieceTokens(const ModelSpec& model, int64_t layer) {
  constexpr int64_t kMost = 2048;
  constexpr int64_t kBytes = int64_t{128} << 20;
  int64_t widest = 1;
  for (const LinearShape& l : LayerLinears(model, layer)) widest = std::max(widest, l.k);
  constexpr int64_t kBuffers = 4;  // f32, of the widest input: both streams, and what it comes from
  return std::clamp<int64_t>(kBytes / (kBuffers * 4 * widest), 1, kMost);
}

std::unique_ptr<KvPages> MakePiecePages(Backend& backend, const ModelSpec& model, int64_t layer,
                                        const ActivationStore& store) {
  int64_t pages = 1;
  for (const auto& piece : store.Pieces(PieceTokens(model, layer))) {
    pages = std::max(pages, PagesOf(store.Blocks(piece)));
  }
  return std::make_unique<KvPages>(backend, model, layer, 1, pages, DType::kF32);
}

LayerRunner::LayerRunner(Backend& backend, const ModelSpec& model, int64_t layer,
                         ActivationStore& store)
    : backend_(backend),
      model_(model),
      layer_(layer),
      store_(store),
      scratch_(backend),
      pages_(MakePiecePages(backend, model, layer, store)) {}

void LayerRunner::Run(const LayerParams& params, Tap* tap, bool keep,
                      const std::function<void()>& poll) {
  const DecoderLayer layer = MakeDecoderLayer(backend_, model_, layer_, params);
  ExecContext ctx{backend_, scratch_, DType::kF32, tap};
  for (const auto& piece : store_.Pieces(PieceTokens(model_, layer_))) {
    poll();
    const Workspace::Scope scope(scratch_);
    BatchBuilder builder;
    const Batch batch = BuildFreshBatch(builder, backend_, store_.Blocks(piece));
    const TensorView rows = scratch_.Take(DType::kF32, {piece.rows(), model_.hidden});
    store_.Read(piece, rows);
    layer.Forward(ctx, batch, pages_->layers()[0], rows);
    if (keep) store_.Write(piece, rows);
  }
  if (keep) store_.Flip();
}

void LayerRunner::Advance(const LayerParams& params, Tap* tap, const std::function<void()>& poll) {
  Run(params, tap, true, poll);
}

void LayerRunner::AdvanceToExperts(const LayerParams& params, Tap* tap,
                                   const std::function<void()>& poll) {
  const bool parallel = IsParallel(model_.layers[static_cast<size_t>(layer_)].residual);
  const DecoderLayer layer = MakeDecoderLayer(backend_, model_, layer_, params);
  const Moe& moe = std::get<Moe>(layer.ffn());
  ExecContext ctx{backend_, scratch_, DType::kF32, tap};
  for (const auto& piece : store_.Pieces(PieceTokens(model_, layer_))) {
    poll();
    const Workspace::Scope scope(scratch_);
    BatchBuilder builder;
    const Batch batch = BuildFreshBatch(builder, backend_, store_.Blocks(piece));
    const TensorView rows = scratch_.Take(DType::kF32, {piece.rows(), model_.hidden});
    const TensorView x = scratch_.Take(DType::kF32, rows.shape);
    const TensorView y = scratch_.Take(DType::kF32, rows.shape);
    store_.Read(piece, rows);
    if (parallel) layer.FfnInput(ctx, rows, y);
    layer.AttentionInput(ctx, rows, x);
    layer.Attend(ctx, batch, pages_->layers()[0], x, x);
    layer.AddAttention(ctx, rows, x);
    store_.Write(piece, rows);
    if (!parallel) layer.FfnInput(ctx, rows, y);
    moe.Route(ctx, y);
    if (moe.shared() != nullptr) moe.shared()->Forward(ctx, y, x);
  }
  if (!parallel) store_.Flip();
}

void LayerRunner::Observe(const LayerParams& params, Tap* tap, const std::function<void()>& poll) {
  Run(params, tap, false, poll);
}

std::vector<double> LayerRunner::PartLosses(LayerPart part, const LayerParams& params,
                                            int64_t variants,
                                            const std::function<LayerParams(int64_t)>& variant,
                                            const std::function<void()>& poll) {
  const DecoderLayer original = MakeDecoderLayer(backend_, model_, layer_, params);
  ExecContext ctx{backend_, scratch_, DType::kF32, nullptr};
  const PagedKv& cache = pages_->layers()[0];
  const auto run = [&](const DecoderLayer& layer, const Batch& batch, const TensorView& x,
                       const TensorView& y) {
    if (part == LayerPart::kAttention) {
      layer.Attend(ctx, batch, cache, x, y);
    } else {
      layer.Feed(ctx, x, y);
    }
  };
  // Inputs and reference outputs of the part are kept, so that each variant costs one pass.
  const Shape all{store_.num_tokens(), model_.hidden};
  const Tensor inputs = backend_.Alloc(DType::kF32, all);
  const Tensor outputs = backend_.Alloc(DType::kF32, all);
  const auto each_piece = [&](const auto& body) {
    for (const auto& piece : store_.Pieces(PieceTokens(model_, layer_))) {
      poll();
      const Workspace::Scope scope(scratch_);
      BatchBuilder builder;
      const Batch batch = BuildFreshBatch(builder, backend_, store_.Blocks(piece));
      body(piece, batch, inputs.view().Rows(piece.first_row, piece.end_row),
           outputs.view().Rows(piece.first_row, piece.end_row));
    }
  };
  each_piece([&](const auto& piece, const Batch& batch, const TensorView& x, const TensorView& y) {
    const TensorView sum = ctx.scratch.Take(DType::kF32, x.shape);
    store_.Read(piece, sum);
    if (part == LayerPart::kAttention) {
      original.AttentionInput(ctx, sum, x);
    } else {
      original.AttentionInput(ctx, sum, x);
      original.Attend(ctx, batch, cache, x, x);
      original.AddAttention(ctx, sum, x);
      original.FfnInput(ctx, sum, x);
    }
    run(original, batch, x, y);
  });
  std::vector<double> losses;
  for (int64_t i = 0; i < variants; ++i) {
    const DecoderLayer changed = MakeDecoderLayer(backend_, model_, layer_, variant(i));
    double loss = 0;
    each_piece([&](const auto&, const Batch& batch, const TensorView& x, const TensorView& y) {
      const TensorView other = ctx.scratch.Take(DType::kF32, y.shape);
      run(changed, batch, x, other);
      loss += SquaredDistance(other, y);
    });
    losses.push_back(loss);
  }
  return losses;
}

}  // namespace awq
