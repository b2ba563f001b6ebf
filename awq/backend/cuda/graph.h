// A recording as a CUDA graph.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>
#include <memory>

#include "awq/backend/cuda/stream.h"
#include "awq/ops/backend.h"

namespace awq::cuda {

class Graph : public Recording {
 public:
  // Captures what `calls` put on the stream; they are not run.
  Graph(std::shared_ptr<Stream> stream, const std::function<void()>& calls);
  ~Graph() override;
  void Replay() override;

 private:
  std::shared_ptr<Stream> stream_;
  cudaGraphExec_t exec_ = nullptr;
};

}  // namespace awq::cuda
