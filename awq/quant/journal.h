// Journal: what a run has finished, so that another process can go on behind it.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "awq/base/file.h"
#include "awq/base/json.h"

namespace awq {

// A file of one JSON value a line: first the identity of the run (all that its output depends on),
// then a record for each finished unit of work. A last line that was cut off counts as absent.
class Journal {
 public:
  // Begins a new one; durable on return.
  static std::unique_ptr<Journal> Create(const std::filesystem::path& file,
                                         const RawJson& identity);
  // Null without a file, or with one that has not even an identity. Throws kCorrupt for anything
  // else that is not a journal.
  static std::unique_ptr<Journal> Open(const std::filesystem::path& file);

  const RawJson& identity() const { return identity_; }
  // Of earlier runs.
  const std::vector<RawJson>& records() const { return records_; }
  // Records of all runs, this one included.
  int64_t size() const { return size_.load(); }
  // Durable on return. May be called from another thread, one call at a time.
  void Append(const RawJson& record);

 private:
  Journal(const std::filesystem::path& file, int64_t keep) : out_(file, keep) {}
  void Put(const RawJson& line);
  FileWriter out_;
  RawJson identity_;
  std::vector<RawJson> records_;
  std::atomic<int64_t> size_{0};
};

// The first place where two identities differ: "options.group_size: the interrupted run had 128,
// this one has 64"; empty when they are equal.
std::string FirstDifference(const RawJson& before, const RawJson& now);

}  // namespace awq
