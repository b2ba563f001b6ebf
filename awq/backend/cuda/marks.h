// Marks: points of a stream and the time between them, in recordings, too.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "awq/backend/cuda/stream.h"

namespace awq::cuda {

class Marks {
 public:
  explicit Marks(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}
  ~Marks();
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;

  void Mark(int slot);
  double SecondsBetween(int from, int to) const;

 private:
  std::shared_ptr<Stream> stream_;
  std::vector<cudaEvent_t> events_;
};

}  // namespace awq::cuda
