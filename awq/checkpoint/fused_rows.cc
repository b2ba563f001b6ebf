#include "awq/checkpoint/fused_rows.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace awq {
namespace {

// Rows are whole bytes: a 4-bit weight has an even number of inputs.
size_t RowBytes(const TensorView& t) {
  return t.dim(0) == 0 ? 0 : static_cast<size_t>(t.NumBytes() / t.dim(0));
}

Shape WithRows(const TensorView& like, int64_t rows) {
  Shape shape = like.shape;
  shape[0] = rows;
  return shape;
}

std::vector<int64_t> RowsOf(const std::vector<TensorView>& parts) {
  std::vector<int64_t> rows;
  for (const TensorView& part : parts) rows.push_back(part.dim(0));
  return rows;
}

}  // namespace

Tensor TakePart(const Tensor& whole, const FusedLinear& fused, std::span<const int64_t> rows,
                size_t part) {
  const int64_t count = rows[part];
  const size_t bytes = RowBytes(whole.view());
  const auto* from = whole.As<const char>();
  if (fused.groups == 1) {
    TensorView view = whole.view();
    view.data = whole.As<char>() + static_cast<size_t>(fused.Row(rows, part, 0)) * bytes;
    view.shape[0] = count;
    return Tensor(view, std::make_shared<const Tensor>(whole.Share()));
  }
  Tensor out = MakeTensor(whole.dtype(), WithRows(whole.view(), count));
  for (int64_t r = 0; r < count; ++r) {
    std::memcpy(out.As<char>() + static_cast<size_t>(r) * bytes,
                from + static_cast<size_t>(fused.Row(rows, part, r)) * bytes, bytes);
  }
  return out;
}

QuantizedWeight TakePart(const QuantizedWeight& whole, const FusedLinear& fused,
                         std::span<const int64_t> rows, size_t part) {
  QuantizedWeight out;
  out.scheme = whole.scheme;
  out.codes = TakePart(whole.codes, fused, rows, part);
  out.scales = TakePart(whole.scales, fused, rows, part);
  if (!whole.zeros.empty()) out.zeros = TakePart(whole.zeros, fused, rows, part);
  return out;
}

Tensor Fuse(const std::vector<TensorView>& parts, const FusedLinear& fused) {
  const std::vector<int64_t> rows = RowsOf(parts);
  int64_t total = 0;
  for (int64_t count : rows) total += count;
  Tensor out = MakeTensor(parts[0].dtype, WithRows(parts[0], total));
  const size_t bytes = RowBytes(parts[0]);
  for (size_t p = 0; p < parts.size(); ++p) {
    AWQ_CHECK(parts[p].dtype == parts[0].dtype && RowBytes(parts[p]) == bytes, kInternal,
              "parts of one module: ", NameOf(parts[0].dtype), " ", parts[0].shape, " and ",
              NameOf(parts[p].dtype), " ", parts[p].shape);
    for (int64_t r = 0; r < rows[p]; ++r) {
      std::memcpy(out.As<char>() + static_cast<size_t>(fused.Row(rows, p, r)) * bytes,
                  parts[p].As<const char>() + static_cast<size_t>(r) * bytes, bytes);
    }
  }
  return out;
}

QuantizedWeight Fuse(const std::vector<const QuantizedWeight*>& parts, const FusedLinear& fused) {
  const auto all = [&](auto member) {
    std::vector<TensorView> views;
    for (const QuantizedWeight* part : parts) views.push_back((part->*member).view());
    return Fuse(views, fused);
  };
  QuantizedWeight out;
  out.scheme = parts[0]->scheme;
  out.codes = all(&QuantizedWeight::codes);
  out.scales = all(&QuantizedWeight::scales);
  if (!out.scheme.symmetric) out.zeros = all(&QuantizedWeight::zeros);
  return out;
}

}  // namespace awq
