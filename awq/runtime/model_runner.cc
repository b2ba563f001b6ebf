#include "awq/runtime/model_runner.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "awq/nn/batch_builder.h"

namespace awq {
namespace {

// How tokens are drawn; nothing when each is the most likely one.
std::vector<SampleRow> NextSamples(std::span<Sampler* const> samplers) {
  std::vector<SampleRow> samples;
  if (std::all_of(samplers.begin(), samplers.end(), [](Sampler* s) { return s->TakesBest(); })) {
    return samples;
  }
  for (Sampler* s : samplers) samples.push_back(s->Next());
  return samples;
}

// Of the shares that want a token.
std::vector<Sampler*> SamplersOf(std::span<const StepShare> shares) {
  std::vector<Sampler*> samplers;
  for (const StepShare& s : shares) {
    if (s.sampler != nullptr) samplers.push_back(s.sampler);
  }
  return samplers;
}

// Of as many seen tokens as the rows have, with room to grow.
int64_t RoomForSeen(std::span<const SampleRow> samples) {
  size_t most = 0;
  for (const SampleRow& row : samples) most = std::max(most, row.seen.size());
  return most == 0 ? 0 : static_cast<int64_t>(std::bit_ceil(most + 64));
}

}  // namespace

std::vector<int32_t> ModelRunner::Run(std::span<const StepShare> shares) {
  const Workspace::Scope scope(scratch_);
  ExecContext ctx{backend_, scratch_, act_, nullptr};
  BatchBuilder builder;
  std::vector<int32_t> rows;
  for (const StepShare& s : shares) {
    builder.Add(s.tokens, s.cached, s.pages);
    if (s.sampler != nullptr) rows.push_back(static_cast<int32_t>(builder.num_tokens() - 1));
  }
  const Batch batch = builder.Build(backend_);
  const int64_t hidden_size = model_.spec().hidden;
  const TensorView hidden = scratch_.Take(DType::kF32, {batch.num_tokens(), hidden_size});
  model_.Forward(ctx, batch, cache_.layers(), hidden);
  if (rows.empty()) {
    backend_.Sync();
    return {};
  }
  const auto count = static_cast<int64_t>(rows.size());
  const TensorView index = scratch_.Take(DType::kI32, {count});
  const TensorView last = scratch_.Take(DType::kF32, {count, hidden_size});
  const TensorView logits = scratch_.Take(DType::kF32, {count, model_.spec().vocab});
  const TensorView next = scratch_.Take(DType::kI32, {count});
  backend_.Copy(index, TensorView(rows.data(), DType::kI32, {count}));
  backend_.GatherRows(hidden, index, last);
  model_.Logits(ctx, last, logits);
  const std::vector<SampleRow> samples = NextSamples(SamplersOf(shares));
  if (samples.empty()) {
    backend_.ArgMax(logits, next);
    return Fetch(next, logits);
  }
  const SampleBatch sampling(count, RoomForSeen(samples));
  std::vector<int32_t> words(static_cast<size_t>(sampling.size()));
  sampling.Pack(samples, words);
  const TensorView on_device = scratch_.Take(DType::kI32, {sampling.size()});
  backend_.Copy(on_device, TensorView(words.data(), DType::kI32, {sampling.size()}));
  backend_.Sample(sampling.Views(on_device), logits, next);
  return Fetch(next, logits);
}

bool ModelRunner::CanBegin(std::span<const StepShare> shares) const {
  return records_ && std::all_of(shares.begin(), shares.end(), [](const auto& s) {
           return s.tokens.size() == 1 && s.sampler != nullptr;
         });
}

void ModelRunner::Begin(std::span<const StepShare> shares) {
  std::vector<DecodeStep::Row> rows;
  for (const StepShare& s : shares) rows.push_back({s.tokens[0], s.cached, s.pages});
  const std::vector<SampleRow> samples = NextSamples(SamplersOf(shares));
  StepFor(rows, samples).Run(rows, samples);
}

bool ModelRunner::CanRunOn() const {
  return !steps_.empty() && steps_.front().recorded() && steps_.front().CanRunOn();
}

void ModelRunner::RunOn(std::span<Sampler* const> samplers) {
  steps_.front().RunOn(NextSamples(samplers));
}

std::vector<int32_t> ModelRunner::Await() {
  const std::span<const int32_t> tokens = steps_.front().Await();
  return {tokens.begin(), tokens.end()};
}

void ModelRunner::Explain(int64_t row) { Explain(steps_.front().logits().Rows(row, row + 1)); }

DecodeStep& ModelRunner::StepFor(std::span<const DecodeStep::Row> rows,
                                 std::span<const SampleRow> samples) {
  int64_t blocks = 16;
  for (const DecodeStep::Row& row : rows) {
    while (blocks < PagesFor(row.cached + 1)) blocks *= 2;
  }
  // Not a longer one: kernels are chosen by its length, and answers must not depend on what ran
  // before.
  const auto step = std::find_if(steps_.begin(), steps_.end(), [&](const DecodeStep& s) {
    return s.blocks() == blocks && s.Fits(rows, samples);
  });
  if (step != steps_.end()) {
    steps_.splice(steps_.begin(), steps_, step);
    return steps_.front();
  }
  constexpr size_t kMostSteps = 8;
  if (steps_.size() == kMostSteps) steps_.pop_back();
  const std::optional<int64_t> seen =
      samples.empty() ? std::nullopt : std::optional(RoomForSeen(samples));
  steps_.emplace_front(backend_, model_, cache_, act_, static_cast<int64_t>(rows.size()), blocks,
                       seen);
  return steps_.front();
}

std::vector<int32_t> ModelRunner::Fetch(const TensorView& tokens, const TensorView& logits) {
  std::vector<int32_t> out(static_cast<size_t>(tokens.dim(0)));
  backend_.Copy(TensorView(out.data(), DType::kI32, tokens.shape), tokens);
  backend_.Sync();
  const auto bad = std::find(out.begin(), out.end(), -1);
  if (bad != out.end()) Explain(logits.Rows(bad - out.begin(), bad - out.begin() + 1));
  return out;
}

void ModelRunner::Explain(const TensorView& logits) {
  std::vector<float> row(static_cast<size_t>(logits.dim(1)));
  backend_.Copy(TensorView(row.data(), DType::kF32, logits.shape), logits);
  backend_.Sync();
  ArgMax(row);
  Fail(ErrorCode::kInternal, "the device found logits that are no numbers");
}

}  // namespace awq
