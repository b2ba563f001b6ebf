// Generator on deterministic backends.
#include <gtest/gtest.h>

#include <map>

#include "awq/nn/testing/has_backend.h"
#include "awq/nn/tiny_models.h"
#include "awq/runtime/byte_tokenizer.h"
#include "awq/runtime/generator.h"

namespace awq {
namespace {

// Of drawn tokens, which follow every bit of the logits nearly.
class DeterministicTest : public ::testing::TestWithParam<std::string> {};

TEST_P(DeterministicTest, DrawnTokensDoNotDependOnTheBatch) {
  const std::string backend_name = GetParam().substr(0, GetParam().find('_'));
  const std::string type = GetParam().substr(GetParam().find('_') + 1);
  if (!testing::HasBackend(backend_name)) GTEST_SKIP() << "no " << backend_name;
  const auto backend = MakeBackend(backend_name, 2, true);
  const DType act = type == "f16" ? DType::kF16 : type == "bf16" ? DType::kBF16 : DType::kF32;
  const testing::ByteTokenizer tokenizer;
  for (const char* name : {"llama_gqa_tied", "qwen3_window", "mixtral"}) {
    const WeightSource source = testing::OpenTiny(name);
    const CausalLm model(*backend, source);
    const auto run = [&](int64_t chunk, const std::vector<int32_t>& which) {
      Generator generator(*backend, model, tokenizer,
                          {.context = 128, .capacity = 2048, .chunk = chunk, .act = act});
      std::map<int64_t, int32_t> salts;
      for (int32_t salt : which) {
        Request request;
        for (int32_t i = 0; i < 20 + 5 * salt; ++i) request.prompt.push_back((i * 31 + salt) % 128);
        request.sampling = {.temperature = 1.5, .seed = static_cast<uint64_t>(salt)};
        request.max_tokens = 40;
        salts[generator.Submit(std::move(request))] = salt;
      }
      std::map<int32_t, std::vector<int32_t>> tokens;
      while (!generator.idle()) {
        for (const StepOutput& out : generator.Step()) {
          if (out.token) tokens[salts.at(out.id)].push_back(*out.token);
        }
      }
      return tokens;
    };
    const auto together = run(512, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    const auto in_chunks = run(9, {3, 5, 10});
    for (const auto& [salt, tokens] : together) {
      EXPECT_EQ(run(512, {salt}).at(salt), tokens) << name << ", request " << salt;
    }
    for (const auto& [salt, tokens] : in_chunks) EXPECT_EQ(together.at(salt), tokens) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, DeterministicTest,
                         ::testing::Values("ref_f32", "cpu_f32", "cuda_f32", "cuda_f16",
                                           "cuda_bf16"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace awq
