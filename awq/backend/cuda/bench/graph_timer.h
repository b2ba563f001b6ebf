// Times device work by replaying it as a CUDA graph.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

namespace awq::cuda {

struct Timing {
  double median_us = 0.0;  // of one operation
  double min_us = 0.0;
  double max_us = 0.0;
};

// `enqueue` puts `operations` operations on the stream it is given; they are captured once and the
// graph is replayed `replays` times after two warm-up replays.
Timing TimeGraph(int operations, int replays, const std::function<void(cudaStream_t)>& enqueue);

}  // namespace awq::cuda
