// SafetensorsFile: a mapped .safetensors file; tensors are views into the mapping.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "awq/base/file.h"
#include "awq/base/tensor.h"

namespace awq {

class SafetensorsFile {
 public:
  // Checks the whole header: bounds, overlaps, gaps, sizes against shapes, duplicate names. Throws
  // kNotFound, kIo, kCorrupt naming file, tensor, expected and found.
  static std::shared_ptr<const SafetensorsFile> Open(const std::filesystem::path& file);

  // Sorted by position in the file.
  const std::vector<std::string>& Names() const { return names_; }
  bool Has(const std::string& name) const { return entries_.contains(name); }
  // Shares the mapping. Throws kNotFound.
  Tensor Get(const std::string& name) const;
  const std::map<std::string, std::string>& Metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return file_->path(); }

 private:
  struct Entry {
    DType dtype;
    Shape shape;
    int64_t begin;  // bytes from the start of the file
    int64_t end;
  };
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Entry> entries_;
  std::vector<std::string> names_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace awq
