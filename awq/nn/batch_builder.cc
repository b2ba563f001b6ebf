#include "awq/nn/batch_builder.h"

#include <algorithm>
#include <numeric>

namespace awq {

void BatchBuilder::Add(std::span<const int32_t> tokens, int64_t cached,
                       std::span<const int32_t> pages) {
  const int64_t length = cached + static_cast<int64_t>(tokens.size());
  AWQ_CHECK(static_cast<int64_t>(pages.size()) >= PagesFor(length), kInternal, pages.size(),
            " pages cannot hold ", length, " tokens");
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokens_.push_back(tokens[i]);
    positions_.push_back(static_cast<int32_t>(cached + static_cast<int64_t>(i)));
  }
  seq_start_.push_back(static_cast<int32_t>(tokens_.size()));
  kv_len_.push_back(static_cast<int32_t>(length));
  pages_.emplace_back(pages.begin(), pages.end());
  max_query_ = std::max(max_query_, static_cast<int64_t>(tokens.size()));
}

Batch BatchBuilder::Build(Backend& backend) {
  size_t blocks = 1;
  for (const auto& p : pages_) blocks = std::max(blocks, p.size());
  block_table_.assign(pages_.size() * blocks, 0);
  for (size_t b = 0; b < pages_.size(); ++b) {
    std::copy(pages_[b].begin(), pages_[b].end(),
              block_table_.begin() + static_cast<int64_t>(b * blocks));
  }
  device_.clear();
  const auto upload = [&](std::vector<int32_t>& values, const Shape& shape) {
    Tensor t = backend.Alloc(DType::kI32, shape);
    backend.Copy(t.view(), TensorView(values.data(), DType::kI32, shape));
    device_.push_back(std::move(t));
    return device_.back().view();
  };
  const auto size = [](const auto& v) { return static_cast<int64_t>(v.size()); };
  Batch batch;
  batch.tokens = upload(tokens_, {size(tokens_)});
  batch.positions = upload(positions_, {size(positions_)});
  batch.seq_start = upload(seq_start_, {size(seq_start_)});
  batch.kv_len = upload(kv_len_, {size(kv_len_)});
  batch.block_table = upload(block_table_, {size(pages_), static_cast<int64_t>(blocks)});
  batch.host_seq_start = seq_start_;
  batch.host_kv_len = kv_len_;
  batch.max_query = max_query_;
  batch.max_kv = *std::max_element(kv_len_.begin(), kv_len_.end());
  return batch;
}

Batch BuildFreshBatch(BatchBuilder& builder, Backend& backend,
                      std::span<const std::vector<int32_t>> sequences) {
  int32_t next = 0;
  for (const auto& tokens : sequences) {
    std::vector<int32_t> pages(static_cast<size_t>(PagesFor(static_cast<int64_t>(tokens.size()))));
    std::iota(pages.begin(), pages.end(), next);
    next += static_cast<int32_t>(pages.size());
    builder.Add(tokens, 0, pages);
  }
  return builder.Build(backend);
}

}  // namespace awq
