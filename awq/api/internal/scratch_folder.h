// Test helper: a temporary folder, and checkpoints in it that a test may damage.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "awq/base/file.h"

namespace awq::testing {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "awq_test_XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // A copy of a checkpoint folder.
  std::filesystem::path Copy(const std::filesystem::path& folder, const std::string& name) const {
    std::filesystem::copy(folder, path_ / name);
    return path_ / name;
  }
  std::filesystem::path Write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

// Replaces the first occurrence of `from` in a file, which must be there.
inline void Replace(const std::filesystem::path& file, const std::string& from,
                    const std::string& to) {
  std::string text = ReadFile(file);
  const auto at = text.find(from);
  if (at == std::string::npos) throw std::runtime_error(file.string() + " lacks " + from);
  text.replace(at, from.size(), to);
  std::ofstream(file, std::ios::binary) << text;
}

}  // namespace awq::testing
