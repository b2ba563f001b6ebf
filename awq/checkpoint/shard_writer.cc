#include "awq/checkpoint/shard_writer.h"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "awq/base/dtype.h"
#include "awq/base/error.h"
#include "awq/checkpoint/shard_index.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

// Keeps a header far below the 100 MB that readers allow, whatever the size of the shard.
constexpr size_t kMaxTensorsPerShard = 1 << 17;

std::string FinalName(size_t i, size_t count) {
  if (count == 1) return kSingleFileName;
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", i + 1, count);
  return name;
}

std::string_view BytesOf(const TensorView& tensor) {
  return {tensor.As<const char>(), static_cast<size_t>(tensor.NumBytes())};
}

void Copy(const fs::path& from, FileWriter& to) {
  constexpr size_t kPiece = 64 << 20;
  const auto file = MappedFile::Open(from);
  for (auto rest = file->bytes(); !rest.empty();) {
    const auto piece = rest.first(std::min(kPiece, rest.size()));
    to.Write(piece.data(), piece.size());
    file->Release(piece.data(), piece.size());
    rest = rest.subspan(piece.size());
  }
}

}  // namespace

// The header comes first in the file but is known last: tensors stream into a side file, which is
// then copied behind the header, one shard at a time. Tensors must tile the data, so no padding can
// align them: those of whole 8-byte words stream and stay aligned; the few others wait in memory
// and follow, widest elements first, so that every tensor is aligned to its elements.
struct ShardWriter::Shard {
  struct Waiting {
    std::string name;
    DType dtype;
    Shape shape;
    std::string bytes;
  };

  Shard(const fs::path& folder, size_t number)
      : path(folder / Cat("shard-", number, ".partial")),
        side_path(path.string() + "-data"),
        side(side_path) {}
  ~Shard() {
    std::error_code ignored;
    fs::remove(side_path, ignored);
  }

  void Add(const std::string& name, const TensorView& tensor) {
    ++tensors;
    bytes += tensor.NumBytes();
    const std::string_view data = BytesOf(tensor);
    if (data.size() % 8 != 0) {
      waiting.push_back({name, tensor.dtype, tensor.shape, std::string(data)});
    } else {
      Append(name, tensor.dtype, tensor.shape, data);
    }
  }

  // The finished file under its temporary name.
  void Complete(const std::map<std::string, std::string>& metadata) {
    std::stable_sort(waiting.begin(), waiting.end(), [](const Waiting& a, const Waiting& b) {
      return BitsOf(a.dtype) > BitsOf(b.dtype);
    });
    for (const Waiting& w : waiting) Append(w.name, w.dtype, w.shape, w.bytes);
    const int64_t data_bytes = side.bytes_written();
    side.Close();
    std::string header = "{\"__metadata__\":" + nlohmann::json(metadata).dump() + entries + "}";
    header.append((8 - header.size() % 8) % 8, ' ');
    const uint64_t length = header.size();
    FileWriter out(path);
    out.Write(&length, 8);
    out.Write(header);
    if (data_bytes > 0) Copy(side_path, out);
    out.Close();
  }

  void Append(const std::string& name, DType dtype, const Shape& shape, std::string_view data) {
    const int64_t begin = side.bytes_written();
    side.Write(data);
    nlohmann::json dims = nlohmann::json::array();
    for (int i = 0; i < shape.rank(); ++i) dims.push_back(shape[i]);
    entries += Cat(",", nlohmann::json(name).dump(), ":{\"dtype\":\"", NameOf(dtype),
                   "\",\"shape\":", dims.dump(), ",\"data_offsets\":[", begin, ",",
                   side.bytes_written(), "]}");
  }

  fs::path path;
  fs::path side_path;
  FileWriter side;
  std::string entries;  // the header's, each behind a comma
  std::vector<Waiting> waiting;
  size_t tensors = 0;
  int64_t bytes = 0;
};

ShardWriter::ShardWriter(fs::path folder, int64_t max_shard_bytes,
                         std::map<std::string, std::string> metadata)
    : folder_(std::move(folder)),
      max_shard_bytes_(max_shard_bytes),
      metadata_(std::move(metadata)) {
  AWQ_CHECK(max_shard_bytes_ > 0, kInvalidArgument, "shard size ", max_shard_bytes_,
            ": expected a positive number of bytes");
  metadata_["format"] = "pt";  // Transformers insists on it
}

ShardWriter::~ShardWriter() = default;

void ShardWriter::OpenShard() { current_ = std::make_unique<Shard>(folder_, finished_.size() + 1); }

void ShardWriter::CloseShard() {
  current_->Complete(metadata_);
  finished_.push_back(current_->path.filename().string());
  current_.reset();
}

void ShardWriter::Write(const std::vector<NamedTensor>& tensors) {
  int64_t bytes = 0;
  for (const NamedTensor& t : tensors) bytes += t.tensor.view().NumBytes();
  if (current_ != nullptr && current_->tensors > 0 &&
      (current_->bytes + bytes > max_shard_bytes_ ||
       current_->tensors + tensors.size() > kMaxTensorsPerShard)) {
    CloseShard();
  }
  if (current_ == nullptr) OpenShard();
  for (const NamedTensor& t : tensors) {
    const TensorView& view = t.tensor.view();
    AWQ_CHECK(view.device == Device::kCpu && view.IsContiguous() && view.dtype != DType::kU4,
              kInternal, t.name, ": cannot write ", NameOf(view.dtype), " ", view.shape,
              ": not plain host memory");
    const bool added = shard_of_.emplace(t.name, finished_.size()).second;
    AWQ_CHECK(added, kInternal, t.name, " is written twice");
    current_->Add(t.name, view);
    total_bytes_ += view.NumBytes();
  }
}

void ShardWriter::Write(const std::string& name, const TensorView& tensor) {
  std::vector<NamedTensor> one;
  one.push_back({name, Tensor(tensor, nullptr)});
  Write(one);
}

void ShardWriter::Finish() {
  if (current_ == nullptr && finished_.empty()) OpenShard();  // no tensors: a file that says so
  if (current_ != nullptr) CloseShard();
  const size_t count = finished_.size();
  for (size_t i = 0; i < count; ++i) {
    fs::path to = folder_ / FinalName(i, count);
    std::error_code failed;
    fs::rename(folder_ / finished_[i], to, failed);
    AWQ_CHECK(!failed, kIo, to.string(), ": cannot rename into place: ", failed.message());
  }
  if (count == 1) return;
  std::map<std::string, std::string> files;
  for (const auto& [name, shard] : shard_of_) files.emplace(name, FinalName(shard, count));
  WriteShardIndex(folder_ / kShardIndexName, total_bytes_, files);
}

}  // namespace awq
