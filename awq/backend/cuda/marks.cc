#include "awq/backend/cuda/marks.h"

#include "awq/backend/cuda/cuda_check.h"

namespace awq::cuda {

void Marks::Mark(int slot) {
  while (events_.size() <= static_cast<size_t>(slot)) events_.emplace_back(cudaEventDefault);
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  AWQ_CUDA(cudaStreamIsCapturing(stream_->get(), &capture));
  const unsigned flags =
      capture == cudaStreamCaptureStatusActive ? cudaEventRecordExternal : cudaEventRecordDefault;
  AWQ_CUDA(
      cudaEventRecordWithFlags(events_[static_cast<size_t>(slot)].get(), stream_->get(), flags));
}

double Marks::SecondsBetween(int from, int to) const {
  float ms = 0.0f;
  AWQ_CUDA(cudaEventElapsedTime(&ms, events_.at(static_cast<size_t>(from)).get(),
                                events_.at(static_cast<size_t>(to)).get()));
  return 1e-3 * static_cast<double>(ms);
}

}  // namespace awq::cuda
