#include "awq/quant/fisher/metric_files.h"

#include <algorithm>
#include <vector>

#include "awq/base/file.h"
#include "awq/base/json.h"
#include "awq/quant/output_metric.h"

namespace awq {
namespace {

struct Entry {
  LinearId id;
  Shape shape;
  int64_t offset;  // bytes
  int64_t bytes() const { return shape.NumElements() * 4; }
};

LinearId KeyOf(LinearId id) { return id.role == Role::kExpertDown ? LinearId(id.role) : id; }

std::vector<Entry> EntriesOf(const ModelSpec& model, int64_t layer) {
  std::vector<Entry> out;
  int64_t offset = 0;
  for (const LinearShape& l : QuantizableLinears(model, layer)) {
    const LinearId id = KeyOf(l.id);
    const bool known =
        std::any_of(out.begin(), out.end(), [&](const Entry& e) { return e.id == id; });
    if (id.expert >= 0 || known) continue;
    out.push_back({id, {l.n, std::min(l.n, kMetricColumns)}, offset});
    offset += out.back().bytes();
  }
  return out;
}

}  // namespace

std::filesystem::path MetricFiles::FileOf(int64_t layer, int64_t version) const {
  return folder_ / Cat("layer", layer, ".", version);
}

std::map<LinearId, Tensor> MetricFiles::Zeros(int64_t layer) const {
  std::map<LinearId, Tensor> out;
  for (const Entry& e : EntriesOf(model_, layer)) {
    Tensor zeros = MakeTensor(DType::kF32, e.shape);
    std::fill_n(zeros.As<float>(), e.shape.NumElements(), 0.0f);
    out.emplace(e.id, std::move(zeros));
  }
  return out;
}

int64_t MetricFiles::Bytes(const ModelSpec& model, int64_t layer) {
  int64_t out = 0;
  for (const Entry& e : EntriesOf(model, layer)) out += e.bytes();
  return out;
}

void MetricFiles::Write(int64_t layer, const std::map<LinearId, Tensor>& sums) const {
  std::filesystem::create_directories(folder_);
  ScratchFile file(FileOf(layer, 1 - ReadProgress().version));
  for (const Entry& e : EntriesOf(model_, layer)) {
    file.Write(e.offset, sums.at(e.id).As<const float>(), e.bytes());
  }
  file.Sync();
}

std::map<LinearId, Tensor> MetricFiles::Read(int64_t layer) const {
  std::map<LinearId, Tensor> out;
  for (const Entry& e : EntriesOf(model_, layer)) out.emplace(e.id, Read(layer, e.id));
  return out;
}

Tensor MetricFiles::Read(int64_t layer, LinearId id) const {
  for (const Entry& e : EntriesOf(model_, layer)) {
    if (!(e.id == KeyOf(id))) continue;
    Tensor out = MakeTensor(DType::kF32, e.shape);
    ScratchFile(FileOf(layer, ReadProgress().version)).Read(e.offset, out.As<float>(), e.bytes());
    return out;
  }
  return {};
}

MetricFiles::Progress MetricFiles::ReadProgress() const {
  if (!std::filesystem::exists(ProgressFile())) return {};
  const Json json = Json::Parse(ReadFile(ProgressFile()), ProgressFile().string());
  return {json.Int("blocks"), json.Int("version")};
}

int64_t MetricFiles::blocks_done() const { return ReadProgress().blocks; }

void MetricFiles::Commit(int64_t blocks) const {
  SyncFolder(folder_);
  const RawJson json = {{"blocks", blocks}, {"version", 1 - ReadProgress().version}};
  WriteFileAtomically(ProgressFile(), json.dump());
}

}  // namespace awq
