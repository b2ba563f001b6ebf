#include "awq/api/internal/layer_stream.h"

#include <algorithm>
#include <cstring>

#include "awq/model/arch.h"
#include "awq/nn/batch_builder.h"
#include "awq/nn/kv_pages.h"

namespace awq {
namespace {

constexpr int64_t kPieceTokens = 2048;

bool SameBytes(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.view().data, b.view().data, static_cast<size_t>(a.view().NumBytes())) == 0;
}

}  // namespace

std::shared_ptr<const CausalLm> LoadEnds(Backend& backend, const WeightSource& source) {
  Model model = ReadModel(source.checkpoint().config());
  model.spec.layers.clear();
  const std::shared_ptr<const Checkpoint> unowned(std::shared_ptr<void>(), &source.checkpoint());
  return std::make_shared<const CausalLm>(backend, WeightSource(unowned, std::move(model)));
}

bool HaveSameEnds(const WeightSource& a, const WeightSource& b) {
  for (const VectorShape& shape : OtherVectors(a.spec())) {
    if (!SameBytes(a.Vector(shape, 0), b.Vector(shape, 0))) return false;
    if (shape.bias && !SameBytes(a.VectorBias(shape, 0), b.VectorBias(shape, 0))) return false;
  }
  return SameBytes(a.Embedding(), b.Embedding()) && SameBytes(a.Head(), b.Head());
}

LayerStream::LayerStream(Backend& backend, const ModelSpec& spec,
                         std::shared_ptr<const CausalLm> ends, std::span<const TokenBlock> windows)
    : backend_(backend),
      spec_(spec),
      ends_(std::move(ends)),
      windows_(windows),
      pieces_(CutPieces(windows, kPieceTokens)),
      scratch_(backend) {
  if (windows.empty()) return;
  rows_ = backend.Alloc(DType::kF32, {pieces_.back().end_row, spec.hidden});
  ExecContext ctx{backend_, scratch_, DType::kF32, nullptr};
  for (const BlockPiece& p : pieces_) {
    const auto blocks = BlocksOf(windows_, p);
    int64_t pages = 0;
    for (const TokenBlock& b : blocks) pages += PagesFor(static_cast<int64_t>(b.size()));
    pages_ = std::max(pages_, pages);
    BatchBuilder builder;
    const Batch batch = BuildFreshBatch(builder, backend_, blocks);
    ends_->Forward(ctx, batch, {}, rows_.view().Rows(p.first_row, p.end_row));
  }
  backend_.Sync();
}

void LayerStream::Advance(int64_t layer, const LayerParams& params,
                          const std::function<void()>& poll, Tap* tap) {
  const DecoderLayer decoder = MakeDecoderLayer(backend_, spec_, layer, params);
  const KvPages pages(backend_, spec_, layer, 1, pages_, DType::kF32);
  ExecContext ctx{backend_, scratch_, DType::kF32, tap};
  for (const BlockPiece& p : pieces_) {
    poll();
    const Workspace::Scope scope(scratch_);
    BatchBuilder builder;
    const Batch batch = BuildFreshBatch(builder, backend_, BlocksOf(windows_, p));
    decoder.Forward(ctx, batch, pages.layers()[0], rows_.view().Rows(p.first_row, p.end_row));
    backend_.Sync();
  }
}

void LayerStream::Logits(int64_t first, int64_t count, std::vector<float>& logits) {
  const Workspace::Scope scope(scratch_);
  ExecContext ctx{backend_, scratch_, DType::kF32, nullptr};
  const TensorView out = scratch_.Take(DType::kF32, {count, spec_.vocab});
  ends_->Logits(ctx, rows_.view().Rows(first, first + count), out);
  logits.resize(static_cast<size_t>(count * spec_.vocab));
  backend_.Copy(TensorView(logits.data(), DType::kF32, out.shape), out);
  backend_.Sync();
}

void LayerStream::Rows(int64_t first, int64_t count, std::vector<float>& rows) const {
  rows.resize(static_cast<size_t>(count * spec_.hidden));
  const TensorView from = rows_.view().Rows(first, first + count);
  backend_.Copy(TensorView(rows.data(), DType::kF32, from.shape), from);
  backend_.Sync();
}

}  // namespace awq
