// Workspace: scratch memory of a forward step, taken like a stack and kept between steps.
#pragma once

#include <cstdint>
#include <vector>

#include "awq/base/tensor.h"
#include "awq/ops/backend.h"

namespace awq {

class Workspace {
 public:
  explicit Workspace(Backend& backend) : backend_(backend) {}

  // Uninitialised, dense, 256-byte aligned; valid until the scope in which it was taken ends.
  TensorView Take(DType type, const Shape& shape);

  // Gives back on destruction what was taken since construction.
  class Scope {
   public:
    explicit Scope(Workspace& workspace)
        : workspace_(workspace), chunk_(workspace.chunk_), used_(workspace.used_) {}
    ~Scope() { workspace_.Reset(chunk_, used_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Workspace& workspace_;
    size_t chunk_;
    int64_t used_;
  };

 private:
  void Reset(size_t chunk, int64_t used);

  Backend& backend_;
  std::vector<Tensor> chunks_;  // U8
  size_t chunk_ = 0;            // the one being filled
  int64_t used_ = 0;            // bytes of it
};

}  // namespace awq
