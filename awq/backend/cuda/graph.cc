#include "awq/backend/cuda/graph.h"

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {

Graph::Graph(std::shared_ptr<Stream> stream, const std::function<void()>& calls)
    : stream_(std::move(stream)) {
  cudaGraph_t graph = nullptr;
  AWQ_CUDA(cudaStreamBeginCapture(stream_->get(), cudaStreamCaptureModeThreadLocal));
  try {
    calls();
  } catch (...) {
    cudaStreamEndCapture(stream_->get(), &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  AWQ_CUDA(cudaStreamEndCapture(stream_->get(), &graph));
  const cudaError_t status = cudaGraphInstantiate(&exec_, graph, 0);
  cudaGraphDestroy(graph);
  AWQ_CUDA(status);
}

Graph::~Graph() {
  if (exec_ != nullptr) cudaGraphExecDestroy(exec_);
}

void Graph::Replay() {
  AWQ_CUDA(cudaGraphLaunch(exec_, stream_->get()));
  AWQ_CUDA(cudaEventRecord(ends_[begun_++ % kMost].get(), stream_->get()));
}

void Graph::Await() {
  AWQ_CHECK(awaited_ < begun_, kInternal, "a recording that does not run");
  AWQ_CUDA(cudaEventSynchronize(ends_[awaited_++ % kMost].get()));
}

}  // namespace awq::cuda
