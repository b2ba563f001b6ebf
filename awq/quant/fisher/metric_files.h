// MetricFiles: sums Σ g gᵀ of the gradients at the outputs of every linear, a file a layer, in two
// versions: one is whole while the other is written.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>

#include "awq/base/tensor.h"
#include "awq/model/spec.h"

namespace awq {

// Where a run keeps them, within its folder.
inline constexpr const char* kMetricFolder = "metrics";
inline constexpr const char* kProgressName = "progress";

class MetricFiles {
 public:
  MetricFiles(const ModelSpec& model, std::filesystem::path folder)
      : model_(model), folder_(std::move(folder)) {}

  // Zeros [N, B] of every linear of the layer that has gradients of its own, B ≤ kMetricColumns. A
  // layer's experts share one of their down.
  std::map<LinearId, Tensor> Zeros(int64_t layer) const;
  static int64_t Bytes(const ModelSpec& model, int64_t layer);

  // All of a layer's sums, into the version that is not whole.
  void Write(int64_t layer, const std::map<LinearId, Tensor>& sums) const;
  // Of the whole one.
  std::map<LinearId, Tensor> Read(int64_t layer) const;
  // Of one linear; empty if it has none.
  Tensor Read(int64_t layer, LinearId id) const;

  // So many blocks have gone into what was written, which is the whole version from now on.
  void Commit(int64_t blocks) const;
  // 0: there is no whole version.
  int64_t blocks_done() const;
  // Whether a run's folder holds metrics of some blocks.
  static bool AnyIn(const std::filesystem::path& work) {
    return std::filesystem::exists(work / kMetricFolder / kProgressName);
  }

 private:
  std::filesystem::path FileOf(int64_t layer, int64_t version) const;
  struct Progress {
    int64_t blocks = 0;
    int64_t version = 1;  // the whole one
  };
  Progress ReadProgress() const;
  std::filesystem::path ProgressFile() const { return folder_ / kProgressName; }

  const ModelSpec& model_;
  std::filesystem::path folder_;
};

}  // namespace awq
