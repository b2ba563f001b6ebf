// Engine: many threads, cancelling in every state, a full cache, failing devices and listeners.
#include "awq/runtime/engine.h"

#include <gtest/gtest.h>

#include <atomic>

#include "awq/backend/ref/ref_backend.h"
#include "awq/nn/tiny_models.h"
#include "awq/runtime/byte_tokenizer.h"
#include "awq/runtime/event_queue.h"

namespace awq {
namespace {

// Fails as long as it is told to; can be made to wait.
class ShakyBackend : public RefBackend {
 public:
  void ArgMax(const TensorView& logits, const TensorView& ids) override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !held_; });
    AWQ_CHECK(!failing_, kDevice, "the device is gone");
    RefBackend::ArgMax(logits, ids);
  }
  void Hold(bool held) {
    {
      const std::lock_guard lock(mutex_);
      held_ = held;
    }
    changed_.notify_all();
  }
  void Fail(bool failing) {
    const std::lock_guard lock(mutex_);
    failing_ = failing;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool failing_ = false;
};

struct Ended {
  std::vector<int32_t> tokens;
  std::optional<FinishReason> finish;
  std::string error;
};

class EngineTest : public ::testing::Test {
 protected:
  EngineTest() : source_(testing::OpenTiny("llama_gqa_tied")), model_(backend_, source_) {}

  Engine::Make Make(int64_t capacity = 512) {
    return [this, capacity] {
      return std::make_unique<Generator>(
          backend_, model_, tokenizer_,
          GeneratorOptions{.context = 128, .capacity = capacity, .chunk = 16});
    };
  }
  static Request Greedy(int32_t salt, int64_t max_tokens) {
    Request r;
    for (int32_t i = 0; i < 5 + salt % 20; ++i) r.prompt.push_back((i * 31 + salt * 17 + 2) % 128);
    r.sampling.temperature = 0;
    r.max_tokens = max_tokens;
    return r;
  }
  static EngineListener To(const std::shared_ptr<EventQueue>& events) {
    return [events](EngineEvent event) { events->Push(std::move(event)); };
  }
  // Everything until the last event, and that nothing comes after it.
  static Ended Await(EventQueue& events) {
    Ended out;
    for (bool last = false; !last;) {
      const auto event = events.Pop(std::chrono::seconds(100));
      if (!event) {
        ADD_FAILURE() << "no event";
        return out;
      }
      if (event->token) out.tokens.push_back(*event->token);
      out.finish = event->finish;
      last = event->last();
      if (!event->error) continue;
      EXPECT_FALSE(event->finish.has_value());
      out.error = event->error->message;
    }
    EXPECT_FALSE(events.Pop(std::chrono::milliseconds(0)).has_value());
    return out;
  }
  static Ended Ask(Engine& engine, Request request) {
    const auto events = std::make_shared<EventQueue>();
    engine.Submit(std::move(request), To(events));
    return Await(*events);
  }

  ShakyBackend backend_;
  WeightSource source_;
  CausalLm model_;
  testing::ByteTokenizer tokenizer_;
};

TEST_F(EngineTest, ManyThreadsGetTheAnswersThatTheyWouldGetAlone) {
  std::vector<Ended> single;
  {
    Engine engine(Make());
    for (int32_t i = 0; i < 12; ++i) single.push_back(Ask(engine, Greedy(i, 6)));
  }
  Engine engine(Make(96));  // of two or three
  std::vector<std::thread> threads;
  std::vector<Ended> found(12);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = t; i < 12; i += 4) {
        found[i] = Ask(engine, Greedy(static_cast<int32_t>(i), 6));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(found[i].finish, FinishReason::kLength) << found[i].error;
    EXPECT_EQ(found[i].tokens, single[i].tokens) << i;
  }
}

TEST_F(EngineTest, CancelsInEveryState) {
  Engine engine(Make(64));
  backend_.Hold(true);
  const auto running = std::make_shared<EventQueue>();
  const auto waiting = std::make_shared<EventQueue>();
  const int64_t first = engine.Submit(Greedy(1, 50), To(running));
  const int64_t second = engine.Submit(Greedy(2, 50), To(waiting));  // no room beside the first
  engine.Cancel(second);
  engine.Cancel(first);
  backend_.Hold(false);
  const Ended ended = Await(*running);
  EXPECT_EQ(ended.finish, FinishReason::kCancelled);
  EXPECT_LE(ended.tokens.size(), 2u);
  EXPECT_EQ(Await(*waiting).finish, FinishReason::kCancelled);
  engine.Cancel(first);  // has ended
  engine.Cancel(12345);  // never was
  EXPECT_EQ(Ask(engine, Greedy(3, 4)).tokens.size(), 4u);
}

TEST_F(EngineTest, RequestsThatAreRefusedEndWithTheReason) {
  Engine engine(Make(64));
  EXPECT_NE(Ask(engine, Greedy(1, 100)).error.find("tokens need 7 pages"), std::string::npos);
  EXPECT_NE(Ask(engine, Greedy(1, 0)).error.find("max_tokens"), std::string::npos);
  EXPECT_NE(Ask(engine, Greedy(1, 1000)).error.find("context"), std::string::npos);
  EXPECT_EQ(Ask(engine, Greedy(1, 4)).finish, FinishReason::kLength);
}

TEST_F(EngineTest, AFailingDeviceEndsAllRequestsAndTheNextOneStartsAnew) {
  Engine engine(Make(64));
  const Ended expected = Ask(engine, Greedy(3, 4));
  backend_.Hold(true);
  std::vector<std::shared_ptr<EventQueue>> events;
  for (int32_t i = 0; i < 5; ++i) {
    events.push_back(std::make_shared<EventQueue>());
    engine.Submit(Greedy(i, 20), To(events.back()));
  }
  backend_.Fail(true);
  backend_.Hold(false);
  for (const auto& queue : events) {
    EXPECT_NE(Await(*queue).error.find("the device is gone"), std::string::npos);
  }
  backend_.Fail(false);
  EXPECT_EQ(Ask(engine, Greedy(3, 4)).tokens, expected.tokens);
}

TEST_F(EngineTest, AListenerThatThrowsLosesItsRequestAlone) {
  Engine engine(Make());
  std::atomic<int> calls = 0;
  const auto others = std::make_shared<EventQueue>();
  backend_.Hold(true);
  engine.Submit(Greedy(1, 50), [&](const EngineEvent&) {
    ++calls;
    throw std::runtime_error("no more");
  });
  engine.Submit(Greedy(2, 10), To(others));
  backend_.Hold(false);
  EXPECT_EQ(Await(*others).tokens.size(), 10u);
  EXPECT_EQ(calls, 1);
}

TEST_F(EngineTest, EndingCancelsWhatIsLeft) {
  const auto running = std::make_shared<EventQueue>();
  const auto waiting = std::make_shared<EventQueue>();
  {
    Engine engine(Make(64));
    engine.Submit(Greedy(1, 50), To(running));
    engine.Submit(Greedy(2, 50), To(waiting));
  }
  EXPECT_EQ(Await(*running).finish, FinishReason::kCancelled);
  EXPECT_EQ(Await(*waiting).finish, FinishReason::kCancelled);
}

TEST_F(EngineTest, FailingToStartIsThrown) {
  EXPECT_THROW(
      Engine([]() -> std::unique_ptr<Generator> { Fail(ErrorCode::kOutOfMemory, "no memory"); }),
      Error);
}

}  // namespace
}  // namespace awq
