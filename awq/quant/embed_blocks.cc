#include "awq/quant/embed_blocks.h"

#include "awq/nn/batch_builder.h"
#include "awq/nn/embedding.h"
#include "awq/quant/layer_runner.h"

namespace awq {

void EmbedBlocks(Backend& backend, const WeightSource& source, ActivationStore& store,
                 const std::function<void()>& poll) {
  const Embedding embedding(backend, source);
  Workspace scratch(backend);
  ExecContext ctx{backend, scratch, DType::kF32, nullptr};
  for (const auto& piece : store.Pieces(PieceTokens(source.spec(), 0))) {
    poll();
    const Workspace::Scope scope(scratch);
    BatchBuilder builder;
    const Batch batch = BuildFreshBatch(builder, backend, store.Blocks(piece));
    const TensorView rows = scratch.Take(DType::kF32, {piece.rows(), store.hidden()});
    embedding.Forward(ctx, batch, rows);
    store.Write(piece, rows);
  }
  store.Flip();
}

}  // namespace awq
