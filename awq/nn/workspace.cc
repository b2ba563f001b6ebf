#include "awq/nn/workspace.h"

#include <algorithm>

namespace awq {
namespace {

constexpr int64_t kAlign = 256;
constexpr int64_t kMinChunk = int64_t{1} << 20;

}  // namespace

TensorView Workspace::Take(DType type, const Shape& shape) {
  TensorView view(nullptr, type, shape);
  const int64_t bytes = (view.NumBytes() + kAlign - 1) / kAlign * kAlign;
  while (chunk_ < chunks_.size() && used_ + bytes > chunks_[chunk_].view().dim(0)) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size()) {
    chunks_.push_back(backend_.Alloc(DType::kU8, {std::max(bytes, kMinChunk)}));
    used_ = 0;
  }
  view.data = chunks_[chunk_].As<char>() + used_;
  view.device = chunks_[chunk_].view().device;
  used_ += bytes;
  return view;
}

void Workspace::Reset(size_t chunk, int64_t used) {
  chunk_ = chunk;
  used_ = used;
  if (chunk != 0 || used != 0 || chunks_.size() < 2) return;
  // Everything is free again: one chunk of the total size serves the next step without gaps.
  int64_t total = 0;
  for (const Tensor& c : chunks_) total += c.view().dim(0);
  backend_.Sync();
  chunks_.clear();
  chunks_.push_back(backend_.Alloc(DType::kU8, {total}));
}

}  // namespace awq
