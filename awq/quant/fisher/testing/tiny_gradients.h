// Test helper: a tiny model, the streams between its layers, and gradients through it.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "awq/backend/make_backend.h"
#include "awq/nn/tiny_models.h"
#include "awq/quant/block_pieces.h"
#include "awq/quant/fisher/head_gradient.h"
#include "awq/quant/fisher/layer_gradient.h"
#include "awq/quant/layer_weights.h"

namespace awq::testing {

// Of some blocks of tokens.
class TinyGradients {
 public:
  TinyGradients(const std::string& name, std::vector<TokenBlock> blocks)
      : source_(OpenTiny(name)),
        backend_(MakeBackend("cpu", 2)),
        pool_(2),
        scratch_(*backend_),
        blocks_(std::move(blocks)),
        batch_(BuildFreshBatch(builder_, *backend_, blocks_)) {
    const ModelSpec& model = source_.spec();
    const Shape shape{batch_.num_tokens(), model.hidden};
    ExecContext ctx{*backend_, scratch_, DType::kF32, nullptr};
    KvPages pages(*backend_, model, 0, model.num_layers(), 16, DType::kF32);
    streams_.push_back(MakeTensor(DType::kF32, shape));
    Embedding(*backend_, source_).Forward(ctx, batch_, streams_[0].view());
    for (int64_t i = 0; i < model.num_layers(); ++i) {
      streams_.push_back(ConvertTo(streams_.back().view(), DType::kF32));
      MakeDecoderLayer(*backend_, model, i, source_.Layer(i))
          .Forward(ctx, batch_, pages.layers()[static_cast<size_t>(i)], streams_.back().view());
    }
    grad_ = MakeTensor(DType::kF32, shape);
  }

  double Head(std::span<const int32_t> labels, const HeadSlices& slices = {}) {
    return HeadGradient(*backend_, source_, slices)
        .Backward(Context(), streams_.back().view(), labels, grad_.view());
  }
  // Labels of rows [begin, end) are drawn.
  double Head(uint64_t seed, int64_t begin, int64_t end, const HeadSlices& slices = {}) {
    return HeadGradient(*backend_, source_, slices)
        .Backward(Context(), streams_.back().view().Rows(begin, end), seed, begin,
                  grad_.view().Rows(begin, end));
  }
  // Through layer i; the linears' gradients are kept.
  void Layer(int64_t i) {
    LayerWeights weights(source_, i);
    LayerParams params = weights.Stored();
    weights.LoadAll(params);
    linears_.clear();
    GradientContext ctx = Context();
    ctx.sink = [&](LinearId id, const TensorView& gradient) {
      ASSERT_TRUE(linears_.emplace(id, ConvertTo(gradient, DType::kF32)).second);
    };
    LayerGradient(*backend_, source_.spec(), i, params)
        .Backward(ctx, batch_, streams_[static_cast<size_t>(i)].view(), grad_.view(), grad_.view());
  }

  const WeightSource& source() const { return source_; }
  const Tensor& grad() const { return grad_; }
  const std::map<LinearId, Tensor>& linears() const { return linears_; }

 private:
  GradientContext Context() { return {*backend_, pool_, scratch_, nullptr}; }

  WeightSource source_;
  std::unique_ptr<Backend> backend_;
  ThreadPool pool_;
  Workspace scratch_;
  std::vector<TokenBlock> blocks_;
  BatchBuilder builder_;
  Batch batch_;
  std::vector<Tensor> streams_;
  Tensor grad_;
  std::map<LinearId, Tensor> linears_;
};

}  // namespace awq::testing
