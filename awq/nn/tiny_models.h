// Test helper: the tiny checkpoints of testdata/ and their golden logits.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "awq/checkpoint/safetensors.h"
#include "awq/checkpoint/weights.h"
#include "awq/nn/batch_builder.h"
#include "awq/nn/causal_lm.h"
#include "awq/nn/kv_pages.h"

namespace awq::testing {

// The checkpoints in a folder of testdata/.
inline std::vector<std::string> TinyModelNames(const std::string& folder = "tiny") {
  std::vector<std::string> names;
  for (const auto& e :
       std::filesystem::directory_iterator(std::filesystem::path(AWQ_TESTDATA) / folder)) {
    if (e.is_directory()) names.push_back(e.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

inline WeightSource OpenTiny(const std::string& name, const std::string& folder = "tiny") {
  const auto checkpoint = Checkpoint::Open(std::filesystem::path(AWQ_TESTDATA) / folder / name);
  return WeightSource(checkpoint, ReadModel(checkpoint->config()));
}

struct GoldenPrompt {
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // [T, V]
};

inline std::vector<GoldenPrompt> LoadGoldens(const std::string& name,
                                             const std::string& folder = "tiny") {
  const auto file = SafetensorsFile::Open(std::filesystem::path(AWQ_TESTDATA) / folder / name /
                                          "golden.safetensors");
  std::vector<GoldenPrompt> out;
  for (int i = 0; file->Has(Cat("tokens_", i)); ++i) {
    const Tensor tokens = file->Get(Cat("tokens_", i));
    const Tensor logits = file->Get(Cat("logits_", i));
    out.push_back({{tokens.Span<const int32_t>().begin(), tokens.Span<const int32_t>().end()},
                   {logits.Span<const float>().begin(), logits.Span<const float>().end()}});
  }
  return out;
}

// Logits of every row of a batch, on the host.
inline std::vector<float> RunBatch(ExecContext& ctx, const CausalLm& model, const Batch& batch,
                                   const KvPages& pages) {
  const Workspace::Scope scope(ctx.scratch);
  const TensorView hidden =
      ctx.scratch.Take(DType::kF32, {batch.num_tokens(), model.spec().hidden});
  const TensorView logits = ctx.scratch.Take(DType::kF32, {batch.num_tokens(), model.spec().vocab});
  model.Forward(ctx, batch, pages.layers(), hidden);
  model.Logits(ctx, hidden, logits);
  std::vector<float> out(static_cast<size_t>(logits.NumElements()));
  ctx.backend.Copy(TensorView(out.data(), DType::kF32, logits.shape), logits);
  ctx.backend.Sync();
  return out;
}

// The largest difference as a share of the largest reference value.
inline double RelativeDifference(std::span<const float> a, std::span<const float> reference) {
  double difference = 0;
  double top = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(reference[i]));
    difference = std::isfinite(d) ? std::max(difference, d) : 1e30;
    top = std::max(top, std::abs(static_cast<double>(reference[i])));
  }
  return difference / top;
}

}  // namespace awq::testing
