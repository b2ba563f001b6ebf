// A linear's weight in the layout of one device: an opaque handle made by Backend::Prepare*.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

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

// Weights of one shape that one operation picks from: of experts, or of heads.
class PackedStack {
 public:
  explicit PackedStack(std::vector<std::unique_ptr<PackedWeight>> weights)
      : weights_(std::move(weights)) {}
  virtual ~PackedStack() = default;
  int64_t size() const { return static_cast<int64_t>(weights_.size()); }
  int64_t n() const { return weights_.front()->n(); }
  int64_t k() const { return weights_.front()->k(); }
  const PackedWeight& operator[](int64_t i) const { return *weights_[static_cast<size_t>(i)]; }
  int64_t NumBytes() const {
    int64_t bytes = 0;
    for (const auto& w : weights_) bytes += w->NumBytes();
    return bytes;
  }

 private:
  std::vector<std::unique_ptr<PackedWeight>> weights_;
};

}  // namespace awq
