#include "awq/runtime/decode_step.h"

#include <algorithm>
#include <cstring>
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
      first_(sampling_ ? sampling_->size() : 0),
      scratch_(backend),
      host_(backend.AllocHost(DType::kI32, {kSlots, first_ + sequences * (4 + blocks) + 1})),
      device_(backend.Alloc(DType::kI32, {host_.view().dim(1)})),
      host_seq_start_(static_cast<size_t>(sequences + 1)),
      host_kv_len_(static_cast<size_t>(sequences)),
      hidden_(backend.Alloc(DType::kF32, {sequences, model.spec().hidden})),
      logits_(backend.Alloc(DType::kF32, {sequences, model.spec().vocab})),
      drawn_(backend.Alloc(DType::kI32, {sequences})),
      next_(backend.Alloc(DType::kI32, {1})),
      record_(backend.AllocHost(DType::kI32, {kSlots, sequences})) {
  std::memset(host_.As<int32_t>(), 0, static_cast<size_t>(host_.view().NumBytes()));
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
  advance_ = {.next = next_.view(),
              .record = record_.view(),
              .tokens = batch_.tokens,
              .positions = batch_.positions,
              .kv_len = batch_.kv_len};
  int32_t first = 0;
  backend.Copy(next_.view(), TensorView(&first, DType::kI32, {1}));
  backend.Sync();
}

DecodeStep::~DecodeStep() {
  if (!running()) return;
  try {
    backend_.Sync();  // it writes to memory of this object
  } catch (...) {     // whoever waits for the device hears of it
  }
}

bool DecodeStep::Fits(std::span<const Row> rows, std::span<const SampleRow> samples) const {
  const bool draws = sampling_ ? sampling_->Fits(samples) : samples.empty();
  std::vector<int32_t> lengths;
  for (const Row& r : rows) lengths.push_back(static_cast<int32_t>(r.cached + 1));
  return draws && rows.size() == host_kv_len_.size() && Fits(lengths);
}

bool DecodeStep::Fits(std::span<const int32_t> lengths) const {
  return HasUnevenLengths(lengths) == uneven_ &&
         std::all_of(lengths.begin(), lengths.end(),
                     [&](int32_t n) { return PagesFor(n) <= blocks_; });
}

void DecodeStep::Run(std::span<const Row> rows, std::span<const SampleRow> samples) {
  AWQ_CHECK(!running(), kInternal, "decode step: the one before is running");
  const size_t n = rows.size();
  const auto width = static_cast<size_t>(blocks_);
  const std::span<int32_t> words = Words();
  if (sampling_) sampling_->Pack(samples, words.first(static_cast<size_t>(first_)));
  const auto batch = words.subspan(static_cast<size_t>(first_));
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
  if (begun_ == 0) uneven_ = HasUnevenLengths(host_kv_len_);
  Upload(words);
  Begin();
}

bool DecodeStep::CanRunOn() const {
  std::vector<int32_t> lengths = host_kv_len_;
  for (int32_t& n : lengths) ++n;
  return begun_ > 0 && begun_ - awaited_ < kSlots && Fits(lengths);
}

void DecodeStep::RunOn(std::span<const SampleRow> samples) {
  AWQ_CHECK(CanRunOn(), kInternal, "decode step: it cannot run on");
  for (int32_t& n : host_kv_len_) ++n;
  if (sampling_) {
    const std::span<int32_t> words = Words().first(static_cast<size_t>(first_));
    sampling_->Pack(samples, words);
    Upload(words);
  }
  Begin();
}

std::span<int32_t> DecodeStep::Words() const {
  const int64_t slot = begun_ % kSlots;
  const TensorView words = host_.view().Rows(slot, slot + 1);
  return {words.As<int32_t>(), static_cast<size_t>(words.dim(1))};
}

void DecodeStep::Upload(std::span<int32_t> words) {
  const auto count = static_cast<int64_t>(words.size());
  backend_.Copy(device_.view().Rows(0, count), TensorView(words.data(), DType::kI32, {count}));
}

void DecodeStep::Begin() {
  ++begun_;
  if (recording_) return recording_->Replay();
  const auto step = [this] {
    Forward();
    backend_.Advance(advance_, drawn_.view());
  };
  if (begun_ > 1) return step();
  Forward();  // the workspace has its final place now
  recording_ = backend_.Record(step);
}

std::span<const int32_t> DecodeStep::Await() {
  AWQ_CHECK(running(), kInternal, "decode step: nothing runs");
  const int64_t slot = awaited_ % kSlots;
  // The first step is no repetition.
  if (recording_ && awaited_ > 0) {
    recording_->Await();
  } else {
    backend_.Sync();
  }
  ++awaited_;
  const TensorView tokens = record_.view().Rows(slot, slot + 1);
  return {tokens.As<const int32_t>(), static_cast<size_t>(tokens.dim(1))};
}

void DecodeStep::Forward() {
  ExecContext ctx{backend_, scratch_, act_, nullptr};
  model_.Forward(ctx, batch_, cache_.layers(), hidden_.view());
  model_.Logits(ctx, hidden_.view(), logits_.view());
  if (sampling_) {
    backend_.Sample(sample_args_, logits_.view(), drawn_.view());
  } else {
    backend_.ArgMax(logits_.view(), drawn_.view());
  }
}

}  // namespace awq
