// MetricFiles: sums Σ g gᵀ of the gradients at the outputs of every linear, a file a layer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>

#include "awq/base/tensor.h"
#include "awq/model/spec.h"

namespace awq {

class MetricFiles {
 public:
  MetricFiles(const ModelSpec& model, std::filesystem::path folder)
      : model_(model), folder_(std::move(folder)) {}

  // Zeros [N, B] of every linear of the layer that has gradients of its own, B ≤ kMetricColumns. A
  // layer's experts share one of their down.
  std::map<LinearId, Tensor> Zeros(int64_t layer) const;
  static int64_t Bytes(const ModelSpec& model, int64_t layer);

  // All or none of a layer's sums.
  void Write(int64_t layer, const std::map<LinearId, Tensor>& sums) const;
  std::map<LinearId, Tensor> Read(int64_t layer) const;
  // Of one linear; empty if it has none.
  Tensor Read(int64_t layer, LinearId id) const;

  // Whether all layers are there to stay.
  bool Complete() const;
  void MarkComplete() const;

 private:
  std::filesystem::path FileOf(int64_t layer) const;
  std::filesystem::path Marker() const { return folder_ / "complete"; }

  const ModelSpec& model_;
  std::filesystem::path folder_;
};

}  // namespace awq
