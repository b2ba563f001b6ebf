// Small models of random weights: all backends of this machine against `ref`, a prompt at once and
// token by token, where CUDA has one kernel for all layers of some.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "awq/api/internal/scratch_folder.h"
#include "awq/nn/testing/has_backend.h"
#include "awq/nn/tiny_models.h"
#include "awq/ops/profiler.h"
#include "tools/synthetic/writer.h"

namespace awq::synthetic {
namespace {

struct Family {
  Model model;
  bool one_kernel = false;  // on sm_90
  Weights weights = {};
};

const Family kFamilies[] = {
    {{"llama", "llama", 512, 3, 8, 2, 640, 320, 512, 1e4, 64}, true},
    {{"llama_symmetric", "llama", 512, 2, 4, 4, 384, 320, 512, 1e4, 128},
     true,
     {.symmetric = true}},
    {{"llama_groups_of_32", "llama", 512, 2, 8, 2, 640, 320, 512, 1e4, 64}, false, {.group = 32}},
    {{"llama_8bit", "llama", 512, 2, 8, 2, 640, 320, 512, 1e4, 64}, false, {.bits = 8}},
    {{"mistral", "mistral", 512, 3, 8, 2, 640, 320, 512, 1e4, 128, 21}, true},
    {{"qwen2", "qwen2", 512, 3, 14, 2, 640, 320, 512, 1e4, 64}, true},
    {{"qwen3", "qwen3", 384, 3, 6, 2, 640, 320, 512, 1e4, 128}, true},
    {{"gemma2", "gemma2", 512, 4, 4, 2, 640, 320, 512, 1e4, 256, 21}, true},
    {{"gemma3", "gemma3_text", 512, 8, 2, 1, 640, 320, 512, 1e6, 256, 21}, true},
    {{"phi3", "phi3", 384, 3, 4, 4, 640, 320, 512, 1e4, 96, 21}, true},
    {{"mpt", "mpt", 512, 3, 4, 4, 2048, 320, 512, 1e4}},
    {{"qwen3_moe", "qwen3_moe", 512, 3, 4, 2, 128, 320, 512, 1e4, 128, 0, 8, 2}, true},
    {{"mixtral", "mixtral", 512, 3, 8, 2, 256, 320, 512, 1e4, 64, 0, 4, 2}, true},
    {{"deepseek_v2", "deepseek_v2", 512, 3, 4, 4, 128, 320, 512, 1e4, 64, 0, 8, 2, 1, 256}},
};

// Over several pages and the windows.
std::vector<int32_t> Tokens() {
  std::vector<int32_t> out;
  for (int32_t i = 0; i < 45; ++i) out.push_back((i * 97 + 13) % 320);
  return out;
}

struct Answers {
  std::vector<float> prompt, tokens;  // logits
  bool one_kernel = false;            // for a token
};

Answers Ask(Backend& inner, const WeightSource& source, DType act, bool by_token) {
  Profiler backend(inner);
  const CausalLm model(backend, source);
  Workspace scratch(backend);
  ExecContext ctx{backend, scratch, act, nullptr};
  const KvPages pages(backend, model.spec(), 0, model.spec().num_layers(), 16, act);
  const std::vector<int32_t> tokens = Tokens();
  Answers out;
  BatchBuilder all;
  const std::vector<int32_t> one[] = {tokens};
  out.prompt = testing::RunBatch(ctx, model, BuildFreshBatch(all, backend, one), pages);
  if (!by_token) return out;
  std::vector<int32_t> table(4);
  std::iota(table.rbegin(), table.rend(), 1);  // pages out of order
  backend.Begin();
  for (size_t t = 0; t < tokens.size(); ++t) {
    BatchBuilder builder;
    builder.Add({&tokens[t], 1}, static_cast<int64_t>(t), table);
    const auto row = testing::RunBatch(ctx, model, builder.Build(backend), pages);
    out.tokens.insert(out.tokens.end(), row.begin(), row.end());
  }
  out.one_kernel = std::ranges::any_of(
      backend.Take(), [](const OpProfile& op) { return op.name.starts_with("decode "); });
  return out;
}

class SyntheticFamilies : public ::testing::TestWithParam<Family> {};

TEST_P(SyntheticFamilies, AnswerAlike) {
  const Family& f = GetParam();
  const testing::ScratchFolder folder;
  const std::string path = (folder.path() / "model").string();
  WriteModel(f.model, path, f.weights, DType::kF16, f.model.layers);
  const auto checkpoint = Checkpoint::Open(path);
  const WeightSource source(checkpoint, ReadModel(checkpoint->config()));
  const auto ref = MakeBackend("ref", 2);
  const std::vector<float> expected = Ask(*ref, source, DType::kF32, false).prompt;
  const auto compare = [&](Backend& backend, DType act, double tolerance) {
    const Answers found = Ask(backend, source, act, true);
    EXPECT_LE(testing::RelativeDifference(found.prompt, expected), tolerance) << NameOf(act);
    EXPECT_LE(testing::RelativeDifference(found.tokens, expected), tolerance) << NameOf(act);
    return found.one_kernel;
  };
  // It rounds the activations of quantized linears to 16 bits a block.
  EXPECT_FALSE(compare(*MakeBackend("cpu", 2), DType::kF32, 2e-3));
  if (!testing::HasBackend("cuda")) return;
  const auto cuda = MakeBackend("cuda");
  const bool hopper = cuda->Info().device.starts_with("NVIDIA H");  // H100, H200
  EXPECT_EQ(compare(*cuda, DType::kF16, 2e-2), hopper && f.one_kernel);
  // Of nearly tied experts others may be chosen.
  const double tolerance = f.model.experts > 0 ? 0.5 : 16e-2;
  EXPECT_EQ(compare(*cuda, DType::kBF16, tolerance), hopper && f.one_kernel);
}

INSTANTIATE_TEST_SUITE_P(Models, SyntheticFamilies, ::testing::ValuesIn(kFamilies),
                         [](const auto& info) { return std::string(info.param.model.name); });

}  // namespace
}  // namespace awq::synthetic
