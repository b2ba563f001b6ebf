// Marks: points of a stream and the time between them, in recordings, too.
#pragma once

#include <deque>
#include <memory>

#include "awq/backend/cuda/event.h"
#include "awq/backend/cuda/stream.h"

namespace awq::cuda {

class Marks {
 public:
  explicit Marks(std::shared_ptr<Stream> stream) : stream_(std::move(stream)) {}

  void Mark(int slot);
  double SecondsBetween(int from, int to) const;

 private:
  std::shared_ptr<Stream> stream_;
  std::deque<Event> events_;
};

}  // namespace awq::cuda
