#include "awq/runtime/decode_step.h"

#include <algorithm>
#include <numeric>

#include "awq/nn/batch_builder.h"

namespace awq {

DecodeStep::DecodeStep(Backend& backend, const CausalLm& model, KvCache& cache, DType act,
                       int64_t sequences, int64_t blocks, std::optional<int64_t> seen)
    : backend_(backend),
      model_(model),
      cache_(cache),
      act_(act),
      blocks_(blocks),
      sampling_(seen ? std::optional(SampleBatch(sequences, *seen)) : std::nullopt),
      scratch_(backend),
      host_(
          static_cast<size_t>((sampling_ ? sampling_->size() : 0) + sequences * (4 + blocks) + 1)),
      device_(backend.Alloc(DType::kI32, {static_cast<int64_t>(host_.size())})),
      host_seq_start_(static_cast<size_t>(sequences + 1)),
      host_kv_len_(static_cast<size_t>(sequences)),
      hidden_(backend.Alloc(DType::kF32, {sequences, model.spec().hidden})),
      logits_(backend.Alloc(DType::kF32, {sequences, model.spec().vocab})),
      tokens_(backend.Alloc(DType::kI32, {sequences})) {
  std::iota(host_seq_start_.begin(), host_seq_start_.end(), 0);
  auto part = [&, at = int64_t{0}](const Shape& shape) mutable {
    const int64_t begin = at;
    at += shape.NumElements();
    return device_.view().Rows(begin, at).Reshape(shape);
  };
  if (sampling_) sample_args_ = sampling_->Views(part({sampling_->size()}));
  batch_.tokens = part({sequences});
  batch_.positions = part({sequences});
  batch_.kv_len = part({sequences});
  batch_.seq_start = part({sequences + 1});
  batch_.block_table = part({sequences, blocks});
  batch_.host_seq_start = host_seq_start_;
  batch_.host_kv_len = host_kv_len_;
  batch_.max_query = 1;
  batch_.max_kv = blocks * kKvPageSize;
}

bool DecodeStep::Fits(std::span<const Row> rows, std::span<const SampleRow> samples) const {
  const bool draws = sampling_ ? sampling_->Fits(samples) : samples.empty();
  return draws && rows.size() == host_kv_len_.size() &&
         std::all_of(rows.begin(), rows.end(),
                     [&](const Row& r) { return PagesFor(r.cached + 1) <= blocks_; });
}

void DecodeStep::Run(std::span<const Row> rows, std::span<const SampleRow> samples) {
  const size_t n = rows.size();
  const auto width = static_cast<size_t>(blocks_);
  size_t first = 0;  // word of the batch
  if (sampling_) {
    first = static_cast<size_t>(sampling_->size());
    sampling_->Pack(samples, std::span(host_).first(first));
  }
  const auto batch = std::span(host_).subspan(first);
  for (size_t i = 0; i < n; ++i) {
    const auto position = static_cast<int32_t>(rows[i].cached);
    batch[i] = rows[i].token;
    batch[n + i] = position;
    batch[2 * n + i] = host_kv_len_[i] = position + 1;
    const size_t pages = std::min(width, rows[i].pages.size());
    std::copy_n(rows[i].pages.begin(), pages,
                batch.begin() + static_cast<int64_t>(4 * n + 1 + i * width));
  }
  std::copy(host_seq_start_.begin(), host_seq_start_.end(),
            batch.begin() + static_cast<int64_t>(3 * n));
  backend_.Copy(device_.view(), TensorView(host_.data(), DType::kI32, device_.shape()));
  if (recording_) {
    recording_->Replay();
  } else if (recorded_) {
    Forward();
  } else {
    Forward();  // the workspace has its final place now
    recording_ = backend_.Record([&] { Forward(); });
    recorded_ = true;
  }
}

void DecodeStep::Forward() {
  ExecContext ctx{backend_, scratch_, act_, nullptr};
  model_.Forward(ctx, batch_, cache_.layers(), hidden_.view());
  model_.Logits(ctx, hidden_.view(), logits_.view());
  if (sampling_) {
    backend_.Sample(sample_args_, logits_.view(), tokens_.view());
  } else {
    backend_.ArgMax(logits_.view(), tokens_.view());
  }
}

}  // namespace awq
