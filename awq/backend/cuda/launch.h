// Kernel launches, with or without leave to start before the predecessor has ended.
#pragma once

#include <cuda_runtime_api.h>

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {

struct Queue {
  cudaStream_t stream = nullptr;
  // Programmatic dependent launch (sm_90): a kernel of ours starts while its predecessor runs, and
  // calls WaitForPreviousKernel before it touches what others write.
  bool overlap = false;
};

template <typename... P, typename... A>
void Launch(const Queue& queue, void (*kernel)(P...), dim3 grid, dim3 block, int shared,
            const A&... args) {
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = static_cast<size_t>(shared);
  config.stream = queue.stream;
  cudaLaunchAttribute attribute = {};
  if (queue.overlap) {
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.attrs = &attribute;
    config.numAttrs = 1;
  }
  [](cudaLaunchConfig_t& c, void (*k)(P...), P... values) {
    void* parameters[] = {static_cast<void*>(&values)...};
    AWQ_CUDA(cudaLaunchKernelExC(&c, reinterpret_cast<const void*>(k), parameters));
  }(config, kernel, static_cast<P>(args)...);
}

}  // namespace awq::cuda
