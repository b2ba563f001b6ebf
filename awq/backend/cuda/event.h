// An event of CUDA that belongs to somebody.
#pragma once

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {

class Event {
 public:
  explicit Event(unsigned flags) { AWQ_CUDA(cudaEventCreateWithFlags(&event_, flags)); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace awq::cuda
