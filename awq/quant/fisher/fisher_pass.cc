#include "awq/quant/fisher/fisher_pass.h"

#include <algorithm>
#include <string>

#include "awq/nn/batch_builder.h"
#include "awq/quant/embed_blocks.h"
#include "awq/quant/expert_stream.h"
#include "awq/quant/fisher/head_gradient.h"
#include "awq/quant/layer_runner.h"
#include "awq/quant/layer_weights.h"
#include "awq/quant/moments.h"

namespace awq {
namespace {

constexpr uint64_t kSeed = 1;  // of the labels
// Time of a layer's way back, in ways forward.
constexpr double kBack = 4;

// body(piece, batch) for all pieces of the store.
template <typename Body>
void ForPieces(const FisherJob& job, const ActivationStore& store, int64_t layer,
               const Body& body) {
  for (const auto& piece : store.Pieces(PieceTokens(job.source.spec(), layer))) {
    job.poll();
    BatchBuilder builder;
    body(piece, BuildFreshBatch(builder, job.backend, store.Blocks(piece)));
  }
}

}  // namespace

int64_t FisherTokensAtOnce(const ModelSpec& model, int64_t stream_bytes) {
  const int64_t token = 4 * model.hidden * (model.num_layers() + 2);
  return std::max<int64_t>(stream_bytes / token, 1);
}

void FisherPass::Run() {
  std::filesystem::create_directories(job_.folder);
  const int64_t most = FisherTokensAtOnce(job_.source.spec(), job_.stream_bytes);
  auto begin = static_cast<size_t>(files_.blocks_done());
  int64_t tokens = NumTokens(job_.blocks.first(begin));
  if (begin > 0) Tell(kBack * static_cast<double>(tokens * job_.source.spec().num_layers()));
  while (begin < job_.blocks.size()) {
    size_t end = begin + 1;
    while (end < job_.blocks.size() &&
           NumTokens(job_.blocks.subspan(begin, end + 1 - begin)) <= most) {
      ++end;
    }
    const auto blocks = job_.blocks.subspan(begin, end - begin);
    RunBlocks(blocks, tokens);
    files_.Commit(static_cast<int64_t>(end));
    tokens += NumTokens(blocks);
    begin = end;
  }
}

void FisherPass::RunBlocks(std::span<const TokenBlock> blocks, int64_t first_token) {
  const ModelSpec& model = job_.source.spec();
  Stores inputs;  // of every layer, and of the head
  for (int64_t i = 0; i <= model.num_layers(); ++i) {
    inputs.push_back(std::make_unique<ActivationStore>(
        blocks, model.hidden, job_.folder / ("stream" + std::to_string(i))));
  }
  ActivationStore gradient(blocks, model.hidden, job_.folder / "gradient");
  Forward(inputs);
  Head(*inputs.back(), first_token, gradient);
  for (int64_t i = model.num_layers() - 1; i >= 0; --i) {
    inputs.back()->Remove();
    inputs.pop_back();
    Backward(i, *inputs.back(), gradient);
    Tell(kBack * static_cast<double>(NumTokens(blocks)));
  }
  inputs.back()->Remove();
  gradient.Remove();
}

void FisherPass::Forward(Stores& inputs) const {
  const ModelSpec& model = job_.source.spec();
  Workspace scratch(job_.backend);
  ExecContext ctx{job_.backend, scratch, DType::kF32, nullptr};
  EmbedBlocks(job_.backend, job_.source, *inputs[0], job_.poll);
  KeptRows kept(job_.backend, kKeptBytes, 0, job_.folder / "kept");
  for (int64_t i = 0; i < model.num_layers(); ++i) {
    const auto at = static_cast<size_t>(i);
    const LayerWeights weights(job_.source, i);
    const LayerParams params = weights.Stored();
    // Routed experts come afterwards, one by one.
    const LayerSpec& spec = model.layers[at];
    const bool routed = std::holds_alternative<MoeSpec>(spec.ffn) && !IsParallel(spec.residual);
    const DecoderLayer layer =
        MakeDecoderLayer(job_.backend, model, i, routed ? ShareDense(params) : ShareAll(params));
    const auto pages = MakePiecePages(job_.backend, model, i, *inputs[at]);
    ForPieces(job_, *inputs[at], i, [&](const auto& piece, const Batch& batch) {
      const Workspace::Scope scope(scratch);
      const TensorView rows = scratch.Take(DType::kF32, {piece.rows(), model.hidden});
      inputs[at]->Read(piece, rows);
      if (routed) {
        const TensorView x = scratch.Take(DType::kF32, rows.shape);
        layer.AttentionInput(ctx, rows, x);
        layer.Attend(ctx, batch, pages->layers()[0], x, x);
        layer.AddAttention(ctx, rows, x);
      } else {
        layer.Forward(ctx, batch, pages->layers()[0], rows);
      }
      inputs[at + 1]->Write(piece, rows);
    });
    inputs[at + 1]->Flip();
    if (routed) {
      const auto experts = [&](int64_t e) { return ShareExpert(params, e); };
      ExpertStream(job_.backend, model, i, experts, layer, *inputs[at + 1], kept)
          .Advance(job_.poll);
    }
    weights.Release();
  }
}

void FisherPass::Head(const ActivationStore& last, int64_t first_token,
                      ActivationStore& gradient) const {
  const HeadGradient head(job_.backend, job_.source);
  Workspace scratch(job_.backend);
  const GradientContext ctx{job_.backend, job_.pool, scratch, [](LinearId, const TensorView&) {}};
  ForPieces(job_, last, 0, [&](const auto& piece, const Batch&) {
    const Workspace::Scope scope(scratch);
    const TensorView rows = scratch.Take(DType::kF32, {piece.rows(), last.hidden()});
    last.Read(piece, rows);
    head.Backward(ctx, rows, kSeed, first_token + piece.first_row, rows);
    gradient.Write(piece, rows);
  });
  gradient.Flip();
}

void FisherPass::Backward(int64_t layer, const ActivationStore& input,
                          ActivationStore& gradient) const {
  const ModelSpec& model = job_.source.spec();
  const LayerWeights weights(job_.source, layer);
  const LayerParams params = weights.Stored();
  std::map<LinearId, Tensor> sums =
      files_.blocks_done() == 0 ? files_.Zeros(layer) : files_.Read(layer);
  {
    LayerGradient back(job_.backend, model, layer, params);
    Workspace scratch(job_.backend);
    const GradientContext ctx{job_.backend, job_.pool, scratch,
                              [&](LinearId id, const TensorView& g) {
                                const auto it = sums.find(id);
                                if (it == sums.end()) return;
                                AddMoments(job_.backend, g, g, it->second.view());
                              }};
    ForPieces(job_, input, layer, [&](const auto& piece, const Batch& batch) {
      const Workspace::Scope scope(scratch);
      const Shape shape{piece.rows(), model.hidden};
      const TensorView x = scratch.Take(DType::kF32, shape);
      const TensorView grad = scratch.Take(DType::kF32, shape);
      input.Read(piece, x);
      gradient.Read(piece, grad);
      back.Backward(ctx, batch, x, grad, grad);
      gradient.Write(piece, grad);
    });
    gradient.Flip();
  }
  files_.Write(layer, sums);
  weights.Release();
}

void FisherPass::Tell(double tokens) {
  if (!job_.weighing) return;
  work_done_ += tokens;
  const double all = kBack * static_cast<double>(NumTokens(job_.blocks)) *
                     static_cast<double>(job_.source.spec().num_layers());
  job_.weighing(work_done_ / all);
}

}  // namespace awq
