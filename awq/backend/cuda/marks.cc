#include "awq/backend/cuda/marks.h"

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {

Marks::~Marks() {
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
}

void Marks::Mark(int slot) {
  while (events_.size() <= static_cast<size_t>(slot)) {
    events_.push_back(nullptr);
    AWQ_CUDA(cudaEventCreate(&events_.back()));
  }
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  AWQ_CUDA(cudaStreamIsCapturing(stream_->get(), &capture));
  const unsigned flags =
      capture == cudaStreamCaptureStatusActive ? cudaEventRecordExternal : cudaEventRecordDefault;
  AWQ_CUDA(cudaEventRecordWithFlags(events_[static_cast<size_t>(slot)], stream_->get(), flags));
}

double Marks::SecondsBetween(int from, int to) const {
  float ms = 0.0f;
  AWQ_CUDA(cudaEventElapsedTime(&ms, events_.at(static_cast<size_t>(from)),
                                events_.at(static_cast<size_t>(to))));
  return 1e-3 * static_cast<double>(ms);
}

}  // namespace awq::cuda
