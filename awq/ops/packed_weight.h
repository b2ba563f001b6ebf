// A linear's weight in the layout of one device: an opaque handle made by Backend::Prepare*.
#pragma once

#include <cstdint>

namespace awq {

class PackedWeight {
 public:
  virtual ~PackedWeight() = default;
  int64_t n() const { return n_; }  // outputs
  int64_t k() const { return k_; }  // inputs
  // Bytes resident on the device.
  virtual int64_t NumBytes() const = 0;

 protected:
  PackedWeight(int64_t n, int64_t k) : n_(n), k_(k) {}

 private:
  int64_t n_;
  int64_t k_;
};

}  // namespace awq
