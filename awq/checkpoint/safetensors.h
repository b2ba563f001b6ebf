// SafetensorsFile: a mapped .safetensors file; tensors are views into the mapping.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "awq/base/file.h"
#include "awq/base/tensor.h"
#include "awq/checkpoint/safetensors_header.h"

namespace awq {

class SafetensorsFile {
 public:
  // Checks the whole header: bounds, overlaps, gaps, sizes against shapes, duplicate names. Throws
  // kNotFound, kIo, kCorrupt naming file, tensor, expected and found.
  static std::shared_ptr<const SafetensorsFile> Open(const std::filesystem::path& file);

  // Sorted by position in the file.
  const std::vector<std::string>& Names() const { return header_.names; }
  bool Has(const std::string& name) const { return header_.index.contains(name); }
  // Shares the mapping, or copies where the file does not align the elements. Throws kNotFound, and
  // kUnsupported for an element type or rank that exists on disk alone.
  Tensor Get(const std::string& name) const;
  // The tensor's pages will not be needed again soon; views of it stay valid.
  void Release(const std::string& name) const;
  // The element type as the file spells it, known or not. Throws kNotFound.
  std::string_view TypeName(const std::string& name) const { return EntryOf(name).type; }
  const std::map<std::string, std::string>& Metadata() const { return header_.metadata; }
  const std::filesystem::path& path() const { return file_->path(); }

 private:
  SafetensorsFile(std::shared_ptr<const MappedFile> file, SafetensorsHeader header)
      : file_(std::move(file)), header_(std::move(header)) {}
  const SafetensorsEntry& EntryOf(const std::string& name) const;

  std::shared_ptr<const MappedFile> file_;
  SafetensorsHeader header_;
};

}  // namespace awq
