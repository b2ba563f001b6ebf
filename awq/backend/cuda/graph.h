// A recording as a CUDA graph.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>

#include "awq/backend/cuda/event.h"
#include "awq/backend/cuda/stream.h"
#include "awq/ops/backend.h"

namespace awq::cuda {

class Graph : public Recording {
 public:
  // Captures what `calls` put on the stream; they are not run.
  Graph(std::shared_ptr<Stream> stream, const std::function<void()>& calls);
  ~Graph() override;
  void Replay() override;
  void Await() override;

 private:
  static constexpr size_t kMost = 2;  // repetitions whose ends are known

  std::shared_ptr<Stream> stream_;
  cudaGraphExec_t exec_ = nullptr;
  Event ends_[kMost] = {Event(cudaEventDisableTiming), Event(cudaEventDisableTiming)};
  size_t begun_ = 0;
  size_t awaited_ = 0;
};

}  // namespace awq::cuda
