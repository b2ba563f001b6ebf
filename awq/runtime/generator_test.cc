// Generator: greedy tokens against the golden logits, batches and chunks against single runs,
// limits.
#include "awq/runtime/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>

#include "awq/backend/make_backend.h"
#include "awq/nn/tiny_models.h"
#include "awq/ops/profiler.h"
#include "awq/runtime/byte_tokenizer.h"

namespace awq {
namespace {

struct Answer {
  std::vector<int32_t> tokens;
  std::string text;
  FinishReason finish{};
};

// Repeats recordings by itself, as a GPU does, so that a generator runs steps ahead.
class RepeatingBackend : public Profiler {
 public:
  explicit RepeatingBackend(Backend& inner) : Profiler(inner) {}
  std::unique_ptr<Recording> Record(const std::function<void()>& calls) override {
    calls();
    return std::make_unique<Repetition>(*this, calls);
  }
  int most_running() const { return most_running_; }

 private:
  class Repetition : public Recording {
   public:
    Repetition(RepeatingBackend& backend, std::function<void()> calls)
        : backend_(backend), calls_(std::move(calls)) {}
    void Replay() override {
      calls_();
      backend_.most_running_ = std::max(backend_.most_running_, ++running_);
    }
    void Await() override { EXPECT_GE(--running_, 0); }

   private:
    RepeatingBackend& backend_;
    std::function<void()> calls_;
    int running_ = 0;
  };
  int most_running_ = 0;
};

class GeneratorTest : public ::testing::TestWithParam<std::tuple<std::string, bool>> {
 protected:
  GeneratorTest()
      : host_(MakeBackend("ref", 2)),
        repeating_(*host_),
        backend_(std::get<1>(GetParam()) ? &repeating_ : host_.get()),
        source_(testing::OpenTiny(ModelName())),
        model_(*backend_, source_) {}

  static std::string ModelName() { return std::get<0>(GetParam()); }

  Generator Make(int64_t chunk = 512, int64_t capacity = 512) {
    return Generator(*backend_, model_, tokenizer_,
                     {.context = 128, .capacity = capacity, .chunk = chunk});
  }
  static std::vector<int32_t> Prompt(int64_t length, int32_t salt) {
    std::vector<int32_t> out;
    for (int64_t i = 0; i < length; ++i) {
      out.push_back(static_cast<int32_t>((i * 31 + salt * 17 + 2) % 128));
    }
    return out;
  }
  static Request Greedy(std::vector<int32_t> prompt, int64_t max_tokens) {
    Request r;
    r.prompt = std::move(prompt);
    r.sampling.temperature = 0;
    r.max_tokens = max_tokens;
    return r;
  }
  static std::map<int64_t, Answer> RunAll(Generator& generator, int64_t* reused = nullptr) {
    std::map<int64_t, Answer> answers;
    while (!generator.idle()) {
      for (const StepOutput& out : generator.Step()) {
        Answer& a = answers[out.id];
        if (out.token) a.tokens.push_back(*out.token);
        a.text += out.text;
        if (out.finish) a.finish = *out.finish;
        if (reused != nullptr) *reused = out.reused;
      }
      generator.cache().pool().CheckIntegrity();
    }
    return answers;
  }
  Answer RunOne(Request request) {
    Generator generator = Make();
    const int64_t id = generator.Submit(std::move(request));
    return RunAll(generator).at(id);
  }

  std::unique_ptr<Backend> host_;
  RepeatingBackend repeating_;
  Backend* backend_;
  WeightSource source_;
  CausalLm model_;
  testing::ByteTokenizer tokenizer_;
};

TEST_P(GeneratorTest, FirstTokenIsTheGoldenArgMax) {
  for (const auto& golden : testing::LoadGoldens(ModelName())) {
    const size_t vocab = golden.logits.size() / golden.tokens.size();
    const std::span<const float> last(golden.logits.data() + golden.logits.size() - vocab, vocab);
    const Answer answer = RunOne(Greedy(golden.tokens, 1));
    EXPECT_EQ(answer.tokens, std::vector<int32_t>{ArgMax(last)});
    EXPECT_EQ(answer.finish, FinishReason::kLength);
  }
}

TEST_P(GeneratorTest, UnequalBatchEqualsSingleRuns) {
  const std::vector<std::pair<int64_t, int64_t>> shapes = {{37, 9}, {1, 20}, {70, 3}, {16, 12}};
  std::vector<Answer> single;
  for (size_t i = 0; i < shapes.size(); ++i) {
    single.push_back(
        RunOne(Greedy(Prompt(shapes[i].first, static_cast<int32_t>(i)), shapes[i].second)));
    EXPECT_EQ(static_cast<int64_t>(single.back().tokens.size()), shapes[i].second);
  }
  for (const int64_t chunk : {512, 7}) {
    Generator generator = Make(chunk);
    std::vector<int64_t> ids;
    for (size_t i = 0; i < shapes.size(); ++i) {
      ids.push_back(generator.Submit(
          Greedy(Prompt(shapes[i].first, static_cast<int32_t>(i)), shapes[i].second)));
    }
    const auto answers = RunAll(generator);
    for (size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(answers.at(ids[i]).tokens, single[i].tokens)
          << "chunk " << chunk << ", request " << i;
    }
  }
}

TEST_P(GeneratorTest, LateArrivalsDoNotDisturb) {
  const Answer a = RunOne(Greedy(Prompt(20, 1), 15));
  const Answer b = RunOne(Greedy(Prompt(33, 2), 6));
  Generator generator = Make(8);
  std::map<int64_t, std::vector<int32_t>> tokens;
  const int64_t first = generator.Submit(Greedy(Prompt(20, 1), 15));
  int64_t second = -1;
  for (int step = 0; !generator.idle(); ++step) {
    if (step == 5) second = generator.Submit(Greedy(Prompt(33, 2), 6));
    for (const StepOutput& out : generator.Step()) {
      if (out.token) tokens[out.id].push_back(*out.token);
    }
  }
  EXPECT_EQ(tokens[first], a.tokens);
  EXPECT_EQ(tokens[second], b.tokens);
}

TEST_P(GeneratorTest, ContinuationReusesTheCache) {
  Generator generator = Make();
  const int64_t first = generator.Submit(Greedy(Prompt(20, 1), 10));
  const Answer answer = RunAll(generator).at(first);
  std::vector<int32_t> longer = Prompt(20, 1);
  longer.insert(longer.end(), answer.tokens.begin(), answer.tokens.end());
  for (int32_t id : Prompt(9, 3)) longer.push_back(id);
  const int64_t second = generator.Submit(Greedy(longer, 8));
  // The last token of the answer never went through the model.
  const bool by_length = RopeOf(model_.spec().layers[0]).DependsOnLength();
  int64_t reused = -1;
  const auto tokens = RunAll(generator, &reused).at(second).tokens;
  EXPECT_EQ(reused, by_length ? 0 : 29);
  EXPECT_EQ(tokens, RunOne(Greedy(longer, 8)).tokens);
}

TEST_P(GeneratorTest, StopsAtTokensAndTexts) {
  const Answer free = RunOne(Greedy(Prompt(20, 1), 12));
  Request by_id = Greedy(Prompt(20, 1), 12);
  by_id.stop_ids = {free.tokens[5]};
  const auto first = std::find(free.tokens.begin(), free.tokens.end(), free.tokens[5]);
  const Answer stopped = RunOne(by_id);
  EXPECT_EQ(stopped.finish, FinishReason::kStop);
  EXPECT_EQ(stopped.tokens, std::vector<int32_t>(free.tokens.begin(), first + 1));
  EXPECT_EQ(stopped.text, tokenizer_.Decode({free.tokens.begin(), first}, true));

  by_id.ignore_eos = true;
  EXPECT_EQ(RunOne(by_id).tokens, free.tokens);

  Request by_text = Greedy(Prompt(20, 1), 12);
  by_text.stop = {free.text.substr(3, 2)};
  const Answer cut = RunOne(by_text);
  EXPECT_EQ(cut.finish, FinishReason::kStop);
  EXPECT_EQ(cut.text, free.text.substr(0, free.text.find(by_text.stop[0])));
}

TEST_P(GeneratorTest, Cancel) {
  Generator generator = Make();
  const int64_t id = generator.Submit(Greedy(Prompt(20, 1), 50));
  const int64_t other = generator.Submit(Greedy(Prompt(5, 2), 3));
  generator.Step();
  EXPECT_EQ(generator.Cancel(id).finish, FinishReason::kCancelled);
  EXPECT_THROW(generator.Cancel(id), Error);
  EXPECT_EQ(RunAll(generator).at(other).tokens.size(), 2u);
}

TEST_P(GeneratorTest, WaitsForRoomInTheCache) {
  std::vector<Answer> single;
  for (int32_t i = 0; i < 4; ++i) single.push_back(RunOne(Greedy(Prompt(20 + i, i), 9)));
  Generator generator = Make(512, 64);  // of two
  std::vector<int64_t> ids;
  for (int32_t i = 0; i < 4; ++i) ids.push_back(generator.Submit(Greedy(Prompt(20 + i, i), 9)));
  const int64_t cancelled = generator.Submit(Greedy(Prompt(5, 3), 9));
  generator.Step();
  EXPECT_EQ(generator.active(), 2);
  EXPECT_EQ(generator.waiting(), 3);
  EXPECT_EQ(generator.Cancel(cancelled).finish, FinishReason::kCancelled);
  const auto answers = RunAll(generator);
  EXPECT_FALSE(answers.contains(cancelled));
  for (size_t i = 2; i < 4; ++i) EXPECT_EQ(answers.at(ids[i]).tokens, single[i].tokens) << i;
  for (size_t i = 0; i < 2; ++i) {  // the first token came before
    const std::vector<int32_t>& all = single[i].tokens;
    EXPECT_EQ(answers.at(ids[i]).tokens, std::vector<int32_t>(all.begin() + 1, all.end())) << i;
  }
}

TEST_P(GeneratorTest, RefusalsNameTheCounts) {
  Generator generator = Make(512, 64);
  const auto refused = [&](Request request, ErrorCode code, const std::string& mention) {
    try {
      generator.Submit(std::move(request));
      ADD_FAILURE() << mention;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), code) << e.what();
      EXPECT_NE(std::string(e.what()).find(mention), std::string::npos) << e.what();
    }
    generator.cache().pool().CheckIntegrity();
  };
  refused(Greedy({}, 5), ErrorCode::kInvalidArgument, "no tokens");
  refused(Greedy({5, 128}, 5), ErrorCode::kInvalidArgument, "token 128");
  refused(Greedy({5}, 0), ErrorCode::kInvalidArgument, "max_tokens");
  refused(Greedy(Prompt(100, 1), 29), ErrorCode::kInvalidArgument,
          "100 tokens and 29 are to be generated: 129 exceed the context of 128");
  refused(Greedy(Prompt(60, 1), 5), ErrorCode::kOutOfMemory, "65 tokens need 5");
  EXPECT_EQ(generator.cache().pool().free_pages(), 4);
  generator.Submit(Greedy(Prompt(60, 1), 4));
  EXPECT_EQ(RunAll(generator).size(), 1u);
}

TEST_P(GeneratorTest, RunsAheadOfTheHost) {
  Request drawn = Greedy(Prompt(9, 4), 12);
  drawn.sampling = {.temperature = 0.9, .top_k = 20, .seed = 7};
  const Answer single = RunOne(drawn);
  const Answer free = RunOne(Greedy(Prompt(20, 1), 30));
  const auto stop = std::find(free.tokens.begin(), free.tokens.end(), free.tokens[5]);
  Request stops = Greedy(Prompt(20, 1), 30);  // while the step after it is running
  stops.stop_ids = {free.tokens[5]};
  Generator generator = Make();
  const int64_t first = generator.Submit(stops);
  const int64_t second = generator.Submit(drawn);
  auto answers = RunAll(generator);
  EXPECT_EQ(answers.at(first).tokens, std::vector<int32_t>(free.tokens.begin(), stop + 1));
  EXPECT_EQ(answers.at(second).tokens, single.tokens);

  // Nobody wants the step that is running: the next request goes on from what is parked, behind
  // which that step has written. Its penalties depend on what was drawn.
  const int64_t third = generator.Submit(stops);
  answers = RunAll(generator);
  EXPECT_EQ(answers.at(third).tokens, std::vector<int32_t>(free.tokens.begin(), stop + 1));
  std::vector<int32_t> longer = Prompt(20, 1);
  longer.insert(longer.end(), free.tokens.begin(), stop);
  for (int32_t id : Prompt(5, 3)) longer.push_back(id);
  Request penalized = Greedy(longer, 9);
  penalized.sampling.repetition_penalty = 1.5;
  const int64_t fourth = generator.Submit(penalized);
  EXPECT_EQ(RunAll(generator).at(fourth).tokens, RunOne(penalized).tokens);

  const bool by_length = RopeOf(model_.spec().layers[0]).DependsOnLength();
  EXPECT_EQ(repeating_.most_running(), backend_ == &repeating_ && !by_length ? 2 : 0);
}

TEST_P(GeneratorTest, CancelsWhileTheNextStepRuns) {
  const Answer other = RunOne(Greedy(Prompt(5, 2), 20));
  Generator generator = Make();
  const int64_t id = generator.Submit(Greedy(Prompt(20, 1), 50));
  const int64_t stays = generator.Submit(Greedy(Prompt(5, 2), 20));
  std::vector<int32_t> tokens;
  const auto steps = [&](int count) {
    for (int step = 0; step < count; ++step) {
      for (const StepOutput& out : generator.Step()) {
        if (out.id == stays) tokens.push_back(*out.token);
      }
    }
  };
  steps(5);
  EXPECT_EQ(generator.Cancel(id).finish, FinishReason::kCancelled);
  steps(4);
  generator.Cancel(stays);
  EXPECT_TRUE(generator.idle());
  EXPECT_EQ(tokens, std::vector<int32_t>(other.tokens.begin(), other.tokens.begin() + 9));
  const int64_t last = generator.Submit(Greedy(Prompt(11, 5), 6));
  EXPECT_EQ(RunAll(generator).at(last).tokens, RunOne(Greedy(Prompt(11, 5), 6)).tokens);
}

INSTANTIATE_TEST_SUITE_P(Tiny, GeneratorTest,
                         ::testing::Combine(::testing::Values("llama_gqa_tied", "qwen3_window",
                                                              "rope_dynamic"),
                                            ::testing::Bool()),
                         [](const auto& info) {
                           return std::get<0>(info.param) +
                                  (std::get<1>(info.param) ? "_repeats" : "");
                         });

}  // namespace
}  // namespace awq
