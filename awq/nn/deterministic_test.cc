// On a deterministic backend the logits of a token are the same bits whether its prompt is read at
// once, beside others, or in pieces.
#include <gtest/gtest.h>

#include <bit>
#include <numeric>

#include "awq/nn/testing/has_backend.h"
#include "awq/nn/tiny_models.h"

namespace awq {
namespace {

struct Case {
  std::string model;
  std::string backend;
  DType act = DType::kF32;
};

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  const bool cuda = testing::HasBackend("cuda");
  for (const std::string& name : testing::TinyModelNames()) {
    // Their keys keep the rotation of the length that they were written at.
    if (RopeOf(testing::OpenTiny(name).spec().layers[0]).DependsOnLength()) continue;
    cases.push_back({name, "cpu"});
    if (!cuda) continue;
    for (DType act : {DType::kF32, DType::kF16, DType::kBF16}) cases.push_back({name, "cuda", act});
  }
  return cases;
}

class Deterministic : public ::testing::TestWithParam<Case> {
 protected:
  static constexpr int64_t kLength = 75;

  Deterministic()
      : backend_(MakeBackend(GetParam().backend, 2, true)),
        source_(testing::OpenTiny(GetParam().model)),
        model_(*backend_, source_),
        scratch_(*backend_),
        ctx_{*backend_, scratch_, GetParam().act, nullptr},
        pages_(*backend_, model_.spec(), 0, model_.spec().num_layers(), 32, GetParam().act) {}

  std::vector<int32_t> Prompt(int32_t salt) const {
    std::vector<int32_t> out;
    for (int32_t i = 0; i < kLength; ++i) {
      out.push_back((i * 31 + salt * 17 + 2) % static_cast<int32_t>(model_.spec().vocab));
    }
    return out;
  }
  // Five pages of a sequence.
  static std::vector<int32_t> Pages(int32_t first) {
    std::vector<int32_t> out(5);
    std::iota(out.rbegin(), out.rend(), first);
    return out;
  }
  static std::vector<uint32_t> Bits(std::span<const float> values) {
    std::vector<uint32_t> out;
    for (float v : values) out.push_back(std::bit_cast<uint32_t>(v));
    return out;
  }

  std::unique_ptr<Backend> backend_;
  WeightSource source_;
  CausalLm model_;
  Workspace scratch_;
  ExecContext ctx_;
  KvPages pages_;
};

TEST_P(Deterministic, LogitsDoNotDependOnTheBatch) {
  const std::vector<int32_t> prompt = Prompt(1);
  const std::vector<int32_t> other = Prompt(2);
  const auto vocab = static_cast<size_t>(model_.spec().vocab);
  BatchBuilder alone;
  alone.Add(prompt, 0, Pages(0));
  const auto expected = testing::RunBatch(ctx_, model_, alone.Build(*backend_), pages_);

  // In pieces of 1, 3, 40, 2, 29 tokens, each beside another sequence's.
  std::vector<float> found;
  size_t done = 0;
  for (const size_t count : {1, 3, 40, 2, 29}) {
    BatchBuilder both;
    both.Add(std::span(other).first(kLength - done), 0, Pages(5));
    both.Add(std::span(prompt).subspan(done, count), static_cast<int64_t>(done), Pages(10));
    const auto logits = testing::RunBatch(ctx_, model_, both.Build(*backend_), pages_);
    found.insert(found.end(), logits.begin() + static_cast<int64_t>((kLength - done) * vocab),
                 logits.end());
    done += count;
  }
  EXPECT_EQ(done, static_cast<size_t>(kLength));
  EXPECT_TRUE(Bits(found) == Bits(expected));
}

INSTANTIATE_TEST_SUITE_P(Tiny, Deterministic, ::testing::ValuesIn(AllCases()),
                         [](const auto& info) {
                           const Case& c = info.param;
                           return Cat(c.model, "_", c.backend, "_", NameOf(c.act));
                         });

}  // namespace
}  // namespace awq
