// GenerationConfig: what is read from where.
#include "awq/api/internal/generation_config.h"

#include <gtest/gtest.h>

#include "awq/api/internal/scratch_folder.h"
#include "awq/base/error.h"

namespace awq {
namespace {

Json Config(const std::string& text) { return Json::Parse(text, "config.json"); }

TEST(GenerationConfig, ReadsTheFile) {
  const testing::ScratchFolder folder;
  folder.Write("generation_config.json",
               R"({"eos_token_id": [3, 5], "do_sample": true, "temperature": 0.6, "top_p": 0.9,
                   "top_k": 20, "repetition_penalty": 1.05})");
  const GenerationConfig c = ReadGenerationConfig(folder.path(), Config(R"({"eos_token_id": 9})"));
  EXPECT_EQ(c.eos_ids, (std::vector<int32_t>{3, 5}));
  EXPECT_TRUE(c.do_sample);
  EXPECT_EQ(c.temperature, 0.6);
  EXPECT_EQ(c.top_p, 0.9);
  EXPECT_EQ(c.top_k, 20);
  EXPECT_EQ(c.repetition_penalty, 1.05);
  EXPECT_FALSE(c.min_p.has_value());
}

TEST(GenerationConfig, FallsBackToConfig) {
  const testing::ScratchFolder folder;
  EXPECT_EQ(ReadGenerationConfig(folder.path(), Config(R"({"eos_token_id": 9})")).eos_ids,
            std::vector<int32_t>{9});
  EXPECT_TRUE(
      ReadGenerationConfig(folder.path(), Config(R"({"eos_token_id": null})")).eos_ids.empty());
  folder.Write("generation_config.json", R"({"eos_token_id": 4})");
  const GenerationConfig c = ReadGenerationConfig(folder.path(), Config("{}"));
  EXPECT_EQ(c.eos_ids, std::vector<int32_t>{4});
  EXPECT_FALSE(c.do_sample);
}

TEST(GenerationConfig, RefusesWhatIsNone) {
  const testing::ScratchFolder folder;
  for (const char* text : {"{", R"({"eos_token_id": "x"})", R"({"eos_token_id": [-1]})",
                           R"({"temperature": "hot"})", R"({"do_sample": 3})"}) {
    folder.Write("generation_config.json", text);
    try {
      ReadGenerationConfig(folder.path(), Config("{}"));
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kCorrupt) << e.what();
    }
  }
}

}  // namespace
}  // namespace awq
