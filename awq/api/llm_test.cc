// Llm: the golden texts of models/demo, sampling defaults, chat, limits.
#include "awq/api/llm.h"

#include <gtest/gtest.h>

#include <thread>

#include "awq/api/internal/scratch_folder.h"
#include "awq/base/json.h"

namespace awq {
namespace {

const std::filesystem::path kDemo = AWQ_SOURCE_DIR "/models/demo";

std::vector<int32_t> Ids(const Json& json) {
  std::vector<int32_t> out;
  for (const Json& id : json.AsArray()) out.push_back(static_cast<int32_t>(id.AsInt()));
  return out;
}

class LlmTest : public ::testing::Test {
 protected:
  LlmTest()
      : llm_(Llm::Load(kDemo, {.device = "cpu", .dtype = "f32"})),
        golden_(Json::Load(kDemo / "golden.json")) {}

  template <typename Body>
  static void Refused(ErrorCode code, const std::string& mention, const Body& body) {
    try {
      body();
      ADD_FAILURE() << "no error: " << mention;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code) << e.what();
      EXPECT_NE(std::string(e.what()).find(mention), std::string::npos) << e.what();
    }
  }

  Llm llm_;
  Json golden_;
};

TEST_F(LlmTest, GreedyTextsOfTransformers) {
  for (const Json& prompt : golden_.At("prompts").AsArray()) {
    std::string streamed;
    const GenerateResult r = llm_.Generate(
        prompt.String("prompt"), {.max_tokens = 48, .temperature = 0, .ignore_eos = true},
        {.on_text = [&](std::string_view text) { streamed += text; }});
    EXPECT_EQ(r.tokens, Ids(prompt.At("greedy_ids"))) << prompt.String("prompt");
    EXPECT_EQ(r.prompt_tokens, static_cast<int64_t>(Ids(prompt.At("token_ids")).size()));
    EXPECT_EQ(r.text, prompt.String("greedy_text"));
    EXPECT_EQ(streamed, r.text);
    EXPECT_EQ(r.finish_reason, "length");
  }
}

TEST_F(LlmTest, ChatOfTransformers) {
  const Json chat = golden_.At("chat");
  std::vector<Message> messages;
  for (const Json& m : chat.At("messages").AsArray()) {
    messages.push_back({m.String("role"), m.String("content")});
  }
  EXPECT_EQ(llm_.ApplyChatTemplate(messages), chat.String("rendered"));
  const std::vector<int32_t> expected = Ids(chat.At("greedy_ids"));
  const GenerateResult r = llm_.Chat(messages, {.temperature = 0});
  EXPECT_EQ(r.prompt_tokens, static_cast<int64_t>(Ids(chat.At("ids")).size()));
  EXPECT_EQ(r.finish_reason, "stop");
  EXPECT_EQ(r.tokens,
            std::vector<int32_t>(expected.begin(),
                                 expected.begin() + static_cast<int64_t>(r.tokens.size())));
  EXPECT_EQ(r.tokens.back(), 16383);
  EXPECT_EQ(r.text.find("<|im_end|>"), std::string::npos);

  // The next turn costs only its own tokens.
  messages.push_back({"assistant", r.text});
  messages.push_back({"user", "And the Sun?"});
  const GenerateResult next = llm_.Chat(messages, {.max_tokens = 4, .temperature = 0});
  EXPECT_GE(next.reused_tokens, r.prompt_tokens);
  Llm fresh = Llm::Load(kDemo, {.device = "cpu", .dtype = "f32"});
  EXPECT_EQ(next.tokens, fresh.Chat(messages, {.max_tokens = 4, .temperature = 0}).tokens);
}

TEST_F(LlmTest, DefaultsAreTheModels) {
  // generation_config.json of the demo says do_sample: false.
  const std::string prompt = "The tower";
  const GenerateResult greedy = llm_.Generate(prompt, {.max_tokens = 12, .temperature = 0});
  EXPECT_EQ(llm_.Generate(prompt, {.max_tokens = 12, .seed = 1}).tokens, greedy.tokens);
  // To ask for a part of the distribution is to ask for sampling.
  const GenerateResult a = llm_.Generate(prompt, {.max_tokens = 12, .top_p = 0.99, .seed = 1});
  EXPECT_NE(a.tokens, greedy.tokens);
  EXPECT_EQ(a.seed, 1u);
  EXPECT_EQ(llm_.Generate(prompt, {.max_tokens = 12, .top_p = 0.99, .seed = 1}).tokens, a.tokens);
  const GenerateResult random = llm_.Generate(prompt, {.max_tokens = 12, .temperature = 1.0});
  EXPECT_EQ(
      llm_.Generate(prompt, {.max_tokens = 12, .temperature = 1.0, .seed = random.seed}).tokens,
      random.tokens);
}

TEST_F(LlmTest, StopTextsAndCancelling) {
  const std::string all = llm_.Generate("The tower", {.max_tokens = 30}).text;
  ASSERT_GT(all.size(), 20u);
  const std::string stop = all.substr(10, 4);
  const GenerateResult r = llm_.Generate("The tower", {.max_tokens = 30, .stop = {stop}});
  EXPECT_EQ(r.text, all.substr(0, all.find(stop)));
  EXPECT_EQ(r.finish_reason, "stop");

  // It is asked while the engine goes on: when exactly it ends is open.
  int asked = 0;
  const GenerateResult cut = llm_.Generate("The tower", {.max_tokens = 200, .ignore_eos = true},
                                           {.cancelled = [&] { return ++asked == 4; }});
  EXPECT_EQ(cut.finish_reason, "cancelled");
  EXPECT_LT(cut.tokens.size(), 200u);
}

TEST_F(LlmTest, SeveralThreadsAreAnsweredSideBySide) {
  const std::vector<std::string> prompts = {"The tower", "A river", "In the year", "The sun"};
  Llm llm = Llm::Load(kDemo, {.device = "cpu", .dtype = "f32", .deterministic = true});
  std::vector<std::vector<int32_t>> alone;
  for (const std::string& p : prompts) alone.push_back(llm.Generate(p, {.max_tokens = 12}).tokens);
  std::vector<std::vector<int32_t>> together(prompts.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < prompts.size(); ++i) {
    threads.emplace_back(
        [&, i] { together[i] = llm.Generate(prompts[i], {.max_tokens = 12}).tokens; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(together, alone);
}

TEST_F(LlmTest, ACacheTooSmallForTheRequestIsNamed) {
  Llm llm = Llm::Load(kDemo, {.device = "cpu", .dtype = "f32", .kv_memory = 1 << 20});
  Refused(ErrorCode::kOutOfMemory, "KV cache",
          [&] { llm.Generate(std::vector<int32_t>(400, 5), {.max_tokens = 100}); });
  EXPECT_EQ(llm.Generate("The tower", {.max_tokens = 2, .ignore_eos = true}).tokens.size(), 2u);
}

TEST_F(LlmTest, RefusalsLeaveItUsable) {
  const auto generate = [&](const std::string& prompt, const GenerateOptions& options) {
    return [=, this] { llm_.Generate(prompt, options); };
  };
  std::string longer;
  for (int i = 0; i < 2100; ++i) longer += " tower";
  Refused(ErrorCode::kInvalidArgument, "in the context of 2048 tokens", generate(longer, {}));
  Refused(ErrorCode::kInvalidArgument, "exceed the context of 2048 tokens",
          generate("The tower", {.max_tokens = 2048}));
  Refused(ErrorCode::kInvalidArgument, "top_p", generate("The tower", {.top_p = 0}));
  Refused(ErrorCode::kInvalidArgument, "max_tokens", generate("The tower", {.max_tokens = 0}));
  Refused(ErrorCode::kInvalidArgument, "stop", generate("The tower", {.stop = {""}}));
  EXPECT_THROW(llm_.Generate("The tower", {}, {.on_text = [](std::string_view) { throw 7; }}), int);
  EXPECT_EQ(llm_.Generate("The tower", {.max_tokens = 3}).tokens.size(), 3u);
}

TEST_F(LlmTest, LoadNamesWhatIsWrong) {
  Refused(ErrorCode::kInvalidArgument, "at most 2048",
          [] { Llm::Load(kDemo, {.device = "cpu", .context = 4096}); });
  Refused(ErrorCode::kInvalidArgument, "dtype",
          [] { Llm::Load(kDemo, {.device = "cpu", .dtype = "f8"}); });
  Refused(ErrorCode::kInvalidArgument, "nonsense",
          [] { Llm::Load(kDemo, {.device = "nonsense"}); });
  Refused(ErrorCode::kNotFound, "/no/such", [] { Llm::Load("/no/such", {.device = "cpu"}); });
}

TEST_F(LlmTest, ContextLimitsTheAnswer) {
  Llm small = Llm::Load(kDemo, {.device = "cpu", .context = 20});
  const GenerateResult r = small.Generate("The tower", {.ignore_eos = true});
  EXPECT_EQ(r.finish_reason, "length");
  EXPECT_EQ(r.prompt_tokens + static_cast<int64_t>(r.tokens.size()), 20);
}

}  // namespace
}  // namespace awq
