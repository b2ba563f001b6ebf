// RunFolder: where a run that may be interrupted works: TARGET.partial, with its journal, its
// activations, and the output, which becomes TARGET when it is whole.
#pragma once

#include <filesystem>
#include <memory>

#include "awq/base/json.h"
#include "awq/quant/journal.h"

namespace awq {

class RunFolder {
 public:
  // Makes the folder, or takes it over, and locks it. Throws kInvalidArgument when another process
  // works there or the target exists and is not an empty folder, kIo when it cannot be made.
  explicit RunFolder(std::filesystem::path target);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  static std::filesystem::path PartialOf(const std::filesystem::path& target);

  // Null when there is nothing to resume.
  std::unique_ptr<Journal> OpenJournal() const;
  // Removes what is there and begins a journal.
  std::unique_ptr<Journal> Begin(const RawJson& identity);

  const std::filesystem::path& target() const { return target_; }
  const std::filesystem::path& path() const { return partial_; }
  std::filesystem::path output() const { return partial_ / "output"; }
  // The output becomes the target; everything else is removed.
  void Commit();
  // Removes everything.
  void Discard();

 private:
  void RemoveUnrenamed() const;

  std::filesystem::path target_;
  std::filesystem::path partial_;
  int lock_ = -1;
  bool existed_ = false;
};

}  // namespace awq
