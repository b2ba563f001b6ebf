// ShardWriter: writes tensors as they come into safetensors shards of bounded size, with an index.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "awq/base/file.h"
#include "awq/base/json.h"
#include "awq/base/tensor.h"
#include "awq/pack/format.h"

namespace awq {

// Memory: one shard's header; tensor bytes go straight to the file. Not thread-safe.
// Without Finish() the files are incomplete; callers write into an OutputFolder.
class ShardWriter {
 public:
  // Shards hold at most max_shard_bytes of tensor data (a larger tensor gets one of its own).
  // `metadata` goes into every shard beside {"format": "pt"}.
  ShardWriter(std::filesystem::path folder, int64_t max_shard_bytes,
              std::map<std::string, std::string> metadata);
  ~ShardWriter();

  // Tensors that belong together (one linear's) stay in one shard. Throws kIo (disk full),
  // kInternal for a name written twice.
  void Write(const std::vector<NamedTensor>& tensors);
  void Write(const std::string& name, const TensorView& tensor);
  // Completes the headers, fsyncs, names the files model.safetensors, or
  // model-0000i-of-0000n.safetensors with model.safetensors.index.json.
  void Finish();
  int64_t total_bytes() const { return total_bytes_; }

 private:
  struct Shard;
  void OpenShard();
  void CloseShard();
  std::filesystem::path folder_;
  int64_t max_shard_bytes_;
  std::map<std::string, std::string> metadata_;
  std::unique_ptr<Shard> current_;
  std::vector<std::string> finished_;       // temporary file names, in order
  std::map<std::string, size_t> shard_of_;  // tensor → index of its shard
  int64_t total_bytes_ = 0;
};

}  // namespace awq
