#include "awq/backend/cuda/bench/graph_timer.h"

#include <algorithm>
#include <vector>

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {

Timing TimeGraph(int operations, int replays, const std::function<void(cudaStream_t)>& enqueue) {
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  AWQ_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  AWQ_CUDA(cudaEventCreate(&begin));
  AWQ_CUDA(cudaEventCreate(&end));
  AWQ_CUDA(cudaDeviceSynchronize());
  AWQ_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  enqueue(stream);
  AWQ_CUDA(cudaStreamEndCapture(stream, &graph));
  AWQ_CUDA(cudaGraphInstantiate(&exec, graph, 0));
  std::vector<double> times;
  for (int i = 0; i < replays + 2; ++i) {
    AWQ_CUDA(cudaEventRecord(begin, stream));
    AWQ_CUDA(cudaGraphLaunch(exec, stream));
    AWQ_CUDA(cudaEventRecord(end, stream));
    AWQ_CUDA(cudaStreamSynchronize(stream));
    float ms = 0.0f;
    AWQ_CUDA(cudaEventElapsedTime(&ms, begin, end));
    if (i >= 2) times.push_back(1e3 * ms / operations);
  }
  AWQ_CUDA(cudaGraphExecDestroy(exec));
  AWQ_CUDA(cudaGraphDestroy(graph));
  AWQ_CUDA(cudaEventDestroy(begin));
  AWQ_CUDA(cudaEventDestroy(end));
  AWQ_CUDA(cudaStreamDestroy(stream));
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front(), times.back()};
}

}  // namespace awq::cuda
