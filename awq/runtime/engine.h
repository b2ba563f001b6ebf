// Engine: a thread that runs one generator, for requests from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "awq/runtime/generator.h"

namespace awq {

// An exception of the engine's thread: its parts, since the object stays there.
struct EngineError {
  ErrorCode code;
  std::string message;
};

// What happened to a request. The last event has `finish` or `error`, never both.
struct EngineEvent {
  std::string text = {};              // newly settled
  std::optional<int32_t> token = {};  // drawn
  std::optional<FinishReason> finish = {};
  std::optional<EngineError> error = {};
  int64_t reused = 0;  // tokens of the prompt that were found in the cache

  bool last() const { return finish.has_value() || error.has_value(); }
};

// Called by the engine's thread, one event after another; must not wait for the engine. If it
// throws, the request is cancelled and it is called no more.
using EngineListener = std::function<void(EngineEvent)>;

// Thread-safe. Requests join between two steps, and wait in the generator's queue while the KV
// cache has no room for them.
class Engine {
 public:
  using Make = std::function<std::unique_ptr<Generator>()>;

  // `make` is called by the engine's thread: now, and anew after a step has failed, whose exception
  // ends all requests. Throws what it throws.
  explicit Engine(Make make);
  // Cancels all requests.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Returns at once. A request that the generator refuses ends with its error.
  int64_t Submit(Request request, EngineListener listener);
  // The request ends with kCancelled, unless it has ended by then. Returns at once.
  void Cancel(int64_t id);

 private:
  struct Submission {
    int64_t id;
    Request request;
    EngineListener listener;
  };
  // Of a request that the generator has.
  struct Client {
    int64_t id;
    EngineListener listener;
  };

  void Run(std::promise<void> started);
  // Waits for work; false when it is time to stop.
  bool Receive(std::vector<Submission>& submissions, std::vector<int64_t>& cancellations);
  void Begin(Submission submission);
  void CancelNow(int64_t id);
  void Step();
  void Deliver(StepOutput output);
  // Ends all requests that the generator has.
  void EndAll(const EngineEvent& event);
  // False when the listener threw.
  static bool Tell(const EngineListener& listener, EngineEvent event);

  Make make_;
  // Of the engine's thread.
  std::unique_ptr<Generator> generator_;
  std::map<int64_t, Client> clients_;  // by the generator's ids

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<Submission> submissions_;
  std::vector<int64_t> cancellations_;
  int64_t next_id_ = 0;
  bool stop_ = false;

  std::thread thread_;
};

}  // namespace awq
