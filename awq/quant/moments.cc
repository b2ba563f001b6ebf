#include "awq/quant/moments.h"

#include <algorithm>
#include <cmath>

namespace awq {

LinearId SiteOf(LinearId id) {
  switch (id.role) {
    case Role::kK:
    case Role::kV:
      return Role::kQ;
    case Role::kQA:
      return Role::kKvA;
    case Role::kUp:
      return Role::kGate;
    case Role::kSharedRouter:
    case Role::kSharedGate:
    case Role::kSharedUp:
      return Role::kRouter;
    case Role::kExpertUp:
      return {Role::kExpertGate, id.expert};
    default:
      return id;
  }
}

std::vector<DiagonalBlock> DiagonalBlocks(const TensorView& matrix) {
  const int64_t k = matrix.dim(0);
  const int64_t width = matrix.dim(1);
  std::vector<DiagonalBlock> out;
  for (int64_t at = 0; at < k; at += width) out.push_back({at, std::min(at + width, k)});
  return out;
}

TensorView ViewOf(const TensorView& matrix, const DiagonalBlock& block) {
  return matrix.Rows(block.begin, block.end).Columns(0, block.end - block.begin);
}

TensorView PartOf(const TensorView& matrix, int64_t begin, int64_t end) {
  const int64_t first = begin / matrix.dim(1) * matrix.dim(1);
  return matrix.Rows(begin, end).Columns(begin - first, end - first);
}

Tensor MakeMoments(Backend& backend, int64_t k, int64_t columns) {
  const Shape shape{k, columns > 0 ? std::min(columns, k) : k};
  Tensor out = backend.Alloc(DType::kF32, shape);
  std::fill_n(out.As<float>(), shape.NumElements(), 0.0f);
  return out;
}

void AddMoments(Backend& backend, const TensorView& x, const TensorView& y,
                const TensorView& matrix) {
  for (const DiagonalBlock& block : DiagonalBlocks(matrix)) {
    const TensorView to = ViewOf(matrix, block);
    const TensorView left = x.Columns(block.begin, block.end);
    if (x.data == y.data) {
      backend.Gram(left, to);
    } else {
      backend.CrossGram(left, y.Columns(block.begin, block.end), to);
    }
  }
}

void MomentsTap::AddSampled(Sums& sums, const TensorView& x) {
  if (sums.sampled.empty()) sums.sampled = MakeMoments(backend_, x.dim(1), columns_);
  const int64_t first = (stride_ - sums.tokens % stride_) % stride_;
  if (first >= x.dim(0)) return;
  TensorView rows = x.Rows(first, x.dim(0));
  rows.shape[0] = (x.dim(0) - first + stride_ - 1) / stride_;
  rows.strides[0] *= stride_;
  AddMoments(backend_, rows, rows, sums.sampled.view());
}

void MomentsTap::OnInput(LinearId id, int64_t, const TensorView& x) {
  // What the router has read already.
  if (id.role == Role::kSharedRouter || id.role == Role::kSharedGate) return;
  Sums& sums = sums_[SiteOf(id)];
  const int64_t k = x.dim(1);
  if (sums.gram.empty()) {
    sums.gram = MakeMoments(backend_, k, columns_);
    sums.abs = MakeTensor(DType::kF32, {k});
  }
  AddMoments(backend_, x, x, sums.gram.view());
  backend_.AbsSum(x, sums.abs.view());
  if (stride_ > 0) AddSampled(sums, x);
  sums.tokens += x.dim(0);
}

void CheckFinite(int64_t layer, LinearId site, const SiteMoments& moments) {
  for (const Tensor* t :
       {&moments.gram, &moments.sampled_gram, &moments.drift, &moments.output_drift}) {
    if (t->empty()) continue;
    const auto values = t->view().Span<const float>();
    AWQ_CHECK(std::ranges::all_of(values, [](float v) { return std::isfinite(v); }), kCorrupt,
              "layer ", layer, ": ", LinearName(site), ": what it reads of the calibration is not ",
              "finite, or too large to be squared: weights are damaged, or activations overflow");
  }
}

std::map<LinearId, SiteMoments> MomentsTap::Finish() {
  std::map<LinearId, SiteMoments> out;
  for (auto& [site, sums] : sums_) {
    SiteMoments& m = out[site];
    m.tokens = sums.tokens;
    for (float a : sums.abs.Span<const float>()) {
      m.mean_abs.push_back(a / static_cast<float>(sums.tokens));
    }
    m.gram = std::move(sums.gram);
    m.sampled_gram = std::move(sums.sampled);
  }
  sums_.clear();
  return out;
}

SiteMoments WeightOnlyMoments(int64_t k, int64_t tokens, int64_t columns) {
  SiteMoments out;
  const int64_t width = columns > 0 ? std::min(columns, k) : k;
  out.gram = MakeTensor(DType::kF32, {k, width});
  for (int64_t i = 0; i < k; ++i) out.gram.As<float>()[i * width + i % width] = 1;
  out.mean_abs.assign(static_cast<size_t>(k), 1.0f);
  out.tokens = tokens;
  return out;
}

void FillFewTokens(const ModelSpec& model, int64_t layer, int64_t expert, int64_t columns,
                   std::map<LinearId, SiteMoments>& sites) {
  for (const LinearShape& shape : LayerLinears(model, layer)) {
    if (shape.id.expert != expert || SiteOf(shape.id) != shape.id) continue;
    SiteMoments& m = sites[shape.id];
    if (m.tokens < kFewTokens) m = WeightOnlyMoments(shape.k, m.tokens, columns);
  }
}

void ScaleGramInPlace(const TensorView& gram, std::span<const float> a) {
  const int64_t width = gram.dim(1);
  for (const DiagonalBlock& block : DiagonalBlocks(gram)) {
    for (int64_t i = block.begin; i < block.end; ++i) {
      float* row = gram.As<float>() + i * width;
      for (int64_t j = 0; j < block.end - block.begin; ++j) {
        row[j] = row[j] * a[static_cast<size_t>(i)] * a[static_cast<size_t>(block.begin + j)];
      }
    }
  }
}

Tensor ScaleGram(const TensorView& gram, std::span<const float> a) {
  Tensor out = ConvertTo(gram, DType::kF32);
  ScaleGramInPlace(out.view(), a);
  return out;
}

std::vector<double> GramLosses(Backend& backend, const TensorView& delta, const TensorView& gram) {
  const int64_t k = delta.dim(1);
  const int64_t rows = std::clamp<int64_t>(kProductBytes / 4 / k, 1, delta.dim(0));
  const Tensor product = MakeTensor(DType::kF32, {rows, k});
  std::vector<double> losses;
  for (int64_t r = 0; r < delta.dim(0); r += rows) {
    const int64_t end = std::min(r + rows, delta.dim(0));
    const TensorView chunk = delta.Rows(r, end);
    const TensorView out = product.view().Rows(0, end - r);
    backend.MatMul(chunk, gram, false, out);
    for (int64_t i = 0; i < end - r; ++i) {
      const float* a = chunk.As<const float>() + i * chunk.strides[0];
      const float* b = out.As<const float>() + i * k;
      float partial[8] = {};
      int64_t c = 0;
      for (; c + 8 <= k; c += 8) {
        for (int lane = 0; lane < 8; ++lane) partial[lane] += a[c + lane] * b[c + lane];
      }
      double row = 0;
      for (; c < k; ++c) row += static_cast<double>(a[c]) * static_cast<double>(b[c]);
      for (float p : partial) row += static_cast<double>(p);
      losses.push_back(row);
    }
  }
  return losses;
}

double GramLoss(Backend& backend, const TensorView& delta, const TensorView& gram) {
  double loss = 0;
  for (const DiagonalBlock& block : DiagonalBlocks(gram)) {
    for (double row :
         GramLosses(backend, delta.Columns(block.begin, block.end), ViewOf(gram, block))) {
      loss += row;
    }
  }
  return loss;
}

}  // namespace awq
