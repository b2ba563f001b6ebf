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

// Memory: the names and shapes of all tensors; their bytes go straight to files. Not thread-safe.
// Without Finish() there are no shards yet; callers write into a folder that appears when complete.
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

  // Flushes to the device. A writer of the same folder and sizes that Restore()s what Log() has
  // returned so far goes on behind it, whatever came later.
  void Sync();
  // What was written since the last call, as JSON.
  RawJson Log();
  // Before the first Write. Throws kCorrupt when the files hold less than the logs say.
  void Restore(const std::vector<RawJson>& logs);

  // Puts headers before the data, fsyncs, names the files model.safetensors, or
  // model-0000i-of-0000n.safetensors with model.safetensors.index.json. May be repeated after it
  // was cut off, by a restored writer too.
  void Finish();
  int64_t total_bytes() const { return total_bytes_; }

 private:
  struct Entry {
    std::string name;
    DType dtype;
    Shape shape;
    int64_t bytes() const { return TensorView(nullptr, dtype, shape).NumBytes(); }
  };
  struct Shard;
  // The shard that takes so many tensors of so many bytes.
  Shard& ShardFor(size_t tensors, int64_t bytes);
  void Register(const Entry& entry);
  std::filesystem::path folder_;
  int64_t max_shard_bytes_;
  std::map<std::string, std::string> metadata_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::map<std::string, size_t> shard_of_;  // tensor → index of its shard
  RawJson log_ = RawJson::array();
  int64_t total_bytes_ = 0;
};

}  // namespace awq
