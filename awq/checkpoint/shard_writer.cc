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

void Copy(const fs::path& from, int64_t bytes, FileWriter& to) {
  constexpr size_t kPiece = 16 << 20;
  const auto file = MappedFile::Open(from);
  AWQ_CHECK(static_cast<int64_t>(file->bytes().size()) >= bytes, kCorrupt, from.string(),
            ": expected ", bytes, " bytes, found ", file->bytes().size());
  for (auto rest = file->bytes().first(static_cast<size_t>(bytes)); !rest.empty();) {
    const auto piece = rest.first(std::min(kPiece, rest.size()));
    to.Write(piece.data(), piece.size());
    file->Release(piece.data(), piece.size());
    rest = rest.subspan(piece.size());
  }
}

}  // namespace

// The header comes first in the file but is known last: tensors stream into side files, which
// Finish() copies behind the header. Tensors must tile the data, so no padding can align them:
// those of whole 8-byte words stream into one and stay aligned; the few others into a second, and
// follow, widest elements first, so that every tensor is aligned to its elements.
struct ShardWriter::Shard {
  explicit Shard(const fs::path& stem)
      : path(stem.string() + ".partial"),
        data(stem.string() + ".data"),
        tail(stem.string() + ".tail") {}

  struct Side {
    explicit Side(fs::path file_path) : path(std::move(file_path)) {}
    fs::path path;
    std::vector<Entry> entries;
    int64_t bytes = 0;                 // that count; the file may hold more before it is opened
    std::unique_ptr<FileWriter> file;  // once something is written

    void Append(std::string_view bytes_of_tensor) {
      if (!file) file = std::make_unique<FileWriter>(path, bytes);
      file->Write(bytes_of_tensor);
    }
  };

  Side& SideOf(const Entry& entry) { return entry.bytes() % 8 == 0 ? data : tail; }

  // Counts a tensor whose bytes are in its side file, or about to be.
  void Count(const Entry& entry) {
    Side& side = SideOf(entry);
    side.entries.push_back(entry);
    side.bytes += entry.bytes();
    ++tensors;
    bytes += entry.bytes();
  }

  void Close() {
    for (Side* side : {&data, &tail}) {
      if (side->file) side->file->Close();
      side->file.reset();
    }
  }

  // The finished file under its temporary name.
  void Complete(const std::map<std::string, std::string>& metadata) {
    Close();
    std::vector<std::pair<Entry, int64_t>> rest;  // of the tail, with their places in its file
    int64_t place = 0;
    for (const Entry& e : tail.entries) {
      rest.emplace_back(e, place);
      place += e.bytes();
    }
    std::stable_sort(rest.begin(), rest.end(), [](const auto& a, const auto& b) {
      return BitsOf(a.first.dtype) > BitsOf(b.first.dtype);
    });
    std::string header = "{\"__metadata__\":" + nlohmann::json(metadata).dump();
    int64_t offset = 0;
    for (const Entry& e : data.entries) Describe(e, offset, header);
    for (const auto& [e, at] : rest) Describe(e, offset, header);
    header += "}";
    header.append((8 - header.size() % 8) % 8, ' ');
    const uint64_t length = header.size();
    FileWriter out(path);
    out.Write(&length, 8);
    out.Write(header);
    if (data.bytes > 0) Copy(data.path, data.bytes, out);
    const auto mapped = tail.bytes > 0 ? MappedFile::Open(tail.path) : nullptr;
    AWQ_CHECK(!mapped || static_cast<int64_t>(mapped->bytes().size()) >= tail.bytes, kCorrupt,
              tail.path.string(), ": expected ", tail.bytes, " bytes");
    for (const auto& [e, at] : rest) {
      if (e.bytes() > 0) {
        out.Write(mapped->bytes().data() + at, static_cast<size_t>(e.bytes()));
      }
    }
    out.Close();
  }

  static void Describe(const Entry& e, int64_t& offset, std::string& header) {
    nlohmann::json dims = nlohmann::json::array();
    for (int i = 0; i < e.shape.rank(); ++i) dims.push_back(e.shape[i]);
    header += Cat(",", nlohmann::json(e.name).dump(), ":{\"dtype\":\"", NameOf(e.dtype),
                  "\",\"shape\":", dims.dump(), ",\"data_offsets\":[", offset, ",",
                  offset + e.bytes(), "]}");
    offset += e.bytes();
  }

  void RemoveSides() const {
    std::error_code ignored;
    fs::remove(data.path, ignored);
    fs::remove(tail.path, ignored);
  }

  fs::path path;
  Side data, tail;
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

ShardWriter::Shard& ShardWriter::ShardFor(size_t tensors, int64_t bytes) {
  const Shard* last = shards_.empty() ? nullptr : shards_.back().get();
  if (last == nullptr || (last->tensors > 0 && (last->bytes + bytes > max_shard_bytes_ ||
                                                last->tensors + tensors > kMaxTensorsPerShard))) {
    if (last != nullptr) shards_.back()->Close();
    shards_.push_back(std::make_unique<Shard>(folder_ / Cat("shard-", shards_.size() + 1)));
  }
  return *shards_.back();
}

void ShardWriter::Register(const Entry& entry) {
  const bool added = shard_of_.emplace(entry.name, shards_.size() - 1).second;
  AWQ_CHECK(added, kInternal, entry.name, " is written twice");
  shards_.back()->Count(entry);
  total_bytes_ += entry.bytes();
}

void ShardWriter::Write(const std::vector<NamedTensor>& tensors) {
  int64_t bytes = 0;
  for (const NamedTensor& t : tensors) bytes += t.tensor.view().NumBytes();
  Shard& shard = ShardFor(tensors.size(), bytes);
  RawJson log = RawJson::array();
  for (const NamedTensor& t : tensors) {
    const TensorView& view = t.tensor.view();
    AWQ_CHECK(view.device == Device::kCpu && view.IsContiguous() && view.dtype != DType::kU4,
              kInternal, t.name, ": cannot write ", NameOf(view.dtype), " ", view.shape,
              ": not plain host memory");
    const Entry entry{t.name, view.dtype, view.shape};
    shard.SideOf(entry).Append(BytesOf(view));
    Register(entry);
    std::vector<int64_t> dims;
    for (int i = 0; i < view.shape.rank(); ++i) dims.push_back(view.shape[i]);
    log.push_back({t.name, NameOf(view.dtype), dims});
  }
  log_.push_back(std::move(log));
}

void ShardWriter::Write(const std::string& name, const TensorView& tensor) {
  std::vector<NamedTensor> one;
  one.push_back({name, Tensor(tensor, nullptr)});
  Write(one);
}

void ShardWriter::Sync() {
  if (shards_.empty()) return;
  for (Shard::Side* side : {&shards_.back()->data, &shards_.back()->tail}) {
    if (side->file) side->file->Sync();
  }
  SyncFolder(folder_);
}

RawJson ShardWriter::Log() { return std::exchange(log_, RawJson::array()); }

void ShardWriter::Restore(const std::vector<RawJson>& logs) {
  for (const RawJson& log : logs) {
    for (const RawJson& together : log) {
      std::vector<Entry> entries;
      int64_t bytes = 0;
      for (const RawJson& e : together) {
        const auto dims = e.at(2).get<std::vector<int64_t>>();
        entries.push_back(
            {e.at(0).get<std::string>(), *DTypeFromName(e.at(1).get<std::string>()), Shape(dims)});
        bytes += entries.back().bytes();
      }
      ShardFor(entries.size(), bytes);
      for (const Entry& e : entries) Register(e);
    }
  }
}

void ShardWriter::Finish() {
  if (shards_.empty()) ShardFor(0, 0);  // no tensors: a file that says so
  const size_t count = shards_.size();
  for (size_t i = 0; i < count; ++i) {
    const fs::path to = folder_ / FinalName(i, count);
    // A file under its final name is whole: it was renamed after it had been flushed.
    if (!fs::exists(to)) {
      shards_[i]->Complete(metadata_);
      std::error_code failed;
      fs::rename(shards_[i]->path, to, failed);
      AWQ_CHECK(!failed, kIo, to.string(), ": cannot rename into place: ", failed.message());
      SyncFolder(folder_);
    }
    shards_[i]->RemoveSides();
  }
  if (count == 1) return;
  std::map<std::string, std::string> files;
  for (const auto& [name, shard] : shard_of_) files.emplace(name, FinalName(shard, count));
  WriteShardIndex(folder_ / kShardIndexName, total_bytes_, files);
}

}  // namespace awq
