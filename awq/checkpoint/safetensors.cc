#include "awq/checkpoint/safetensors.h"

#include <cstring>

#include "awq/base/dtype.h"
#include "awq/base/error.h"

namespace awq {

std::shared_ptr<const SafetensorsFile> SafetensorsFile::Open(const std::filesystem::path& file) {
  auto mapped = MappedFile::Open(file);
  SafetensorsHeader header = ParseSafetensorsHeader(mapped->bytes(), file.string());
  return std::shared_ptr<const SafetensorsFile>(
      new SafetensorsFile(std::move(mapped), std::move(header)));
}

const SafetensorsEntry& SafetensorsFile::EntryOf(const std::string& name) const {
  const auto it = header_.index.find(name);
  AWQ_CHECK(it != header_.index.end(), kNotFound, path().string(), ": no tensor ", name);
  return header_.entries[it->second];
}

void SafetensorsFile::Release(const std::string& name) const {
  const SafetensorsEntry& entry = EntryOf(name);
  file_->Release(file_->bytes().data() + entry.begin, static_cast<size_t>(entry.end - entry.begin));
}

Tensor SafetensorsFile::Get(const std::string& name) const {
  const SafetensorsEntry& entry = EntryOf(name);
  const auto type = DTypeFromName(entry.type);
  AWQ_CHECK(type && *type != DType::kU4, kUnsupported, path().string(), ": ", name,
            ": element type ", entry.type, " is not supported; supported: F64, F32, F16, BF16, ",
            "I64, I32, I16, I8, U8, BOOL, F8_E4M3, F8_E5M2");
  AWQ_CHECK(entry.rank <= kMaxRank, kUnsupported, path().string(), ": ", name, ": rank ",
            entry.rank, " is not supported; supported: up to ", kMaxRank);
  const std::byte* data = file_->bytes().data() + entry.begin;
  // A mapping begins on a page, so the offset alone decides.
  if (entry.begin % (BitsOf(*type) / 8) != 0) {
    Tensor copy = MakeTensor(*type, entry.shape);
    std::memcpy(copy.view().data, data, static_cast<size_t>(entry.end - entry.begin));
    return copy;
  }
  return Tensor(TensorView(const_cast<std::byte*>(data), *type, entry.shape), file_);
}

}  // namespace awq
