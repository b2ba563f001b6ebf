#include "awq/runtime/engine.h"

#include <algorithm>
#include <utility>

namespace awq {
namespace {

// Of the exception that is being handled.
EngineError CurrentError() {
  try {
    throw;
  } catch (const Error& e) {
    return {e.code(), e.what()};
  } catch (const std::exception& e) {
    return {ErrorCode::kInternal, e.what()};
  }
}

}  // namespace

Engine::Engine(Make make) : make_(std::move(make)) {
  std::promise<void> started;
  std::future<void> start = started.get_future();
  thread_ = std::thread([this, p = std::move(started)]() mutable { Run(std::move(p)); });
  try {
    start.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

int64_t Engine::Submit(Request request, EngineListener listener) {
  int64_t id = 0;
  {
    const std::lock_guard lock(mutex_);
    id = next_id_++;
    submissions_.push_back({id, std::move(request), std::move(listener)});
  }
  changed_.notify_one();
  return id;
}

void Engine::Cancel(int64_t id) {
  {
    const std::lock_guard lock(mutex_);
    cancellations_.push_back(id);
  }
  changed_.notify_one();
}

void Engine::Run(std::promise<void> started) {
  try {
    generator_ = make_();
    started.set_value();
  } catch (...) {
    started.set_exception(std::current_exception());
    return;
  }
  std::vector<Submission> submissions;
  std::vector<int64_t> cancellations;
  while (Receive(submissions, cancellations)) {
    for (Submission& s : submissions) Begin(std::move(s));
    for (int64_t id : cancellations) CancelNow(id);
    Step();
  }
  for (const Submission& s : submissions) Tell(s.listener, {.finish = FinishReason::kCancelled});
  EndAll({.finish = FinishReason::kCancelled});
  generator_.reset();
}

bool Engine::Receive(std::vector<Submission>& submissions, std::vector<int64_t>& cancellations) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    return stop_ || !submissions_.empty() || !cancellations_.empty() || !clients_.empty();
  });
  submissions = std::exchange(submissions_, {});
  cancellations = std::exchange(cancellations_, {});
  return !stop_;
}

void Engine::Begin(Submission submission) {
  try {
    if (generator_ == nullptr) generator_ = make_();
    const int64_t id = generator_->Submit(std::move(submission.request));
    clients_.emplace(id, Client{submission.id, std::move(submission.listener)});
  } catch (...) {
    Tell(submission.listener, {.error = CurrentError()});
  }
}

void Engine::CancelNow(int64_t id) {
  const auto client = std::find_if(clients_.begin(), clients_.end(),
                                   [id](const auto& entry) { return entry.second.id == id; });
  if (client != clients_.end()) Deliver(generator_->Cancel(client->first));
}

void Engine::Step() {
  if (clients_.empty()) return;
  std::vector<StepOutput> outputs;
  try {
    outputs = generator_->Step();
  } catch (...) {
    generator_.reset();  // its cache has unknown content
    EndAll({.error = CurrentError()});
    return;
  }
  for (StepOutput& output : outputs) Deliver(std::move(output));
}

void Engine::Deliver(StepOutput output) {
  const auto client = clients_.find(output.id);
  const bool last = output.finish.has_value();
  const bool told = Tell(client->second.listener, {.text = std::move(output.text),
                                                   .token = output.token,
                                                   .finish = output.finish,
                                                   .reused = output.reused});
  if (told && !last) return;
  if (!last) generator_->Cancel(output.id);
  clients_.erase(client);
}

void Engine::EndAll(const EngineEvent& event) {
  for (const auto& [id, client] : clients_) Tell(client.listener, event);
  clients_.clear();
}

bool Engine::Tell(const EngineListener& listener, EngineEvent event) {
  try {
    listener(std::move(event));
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace awq
