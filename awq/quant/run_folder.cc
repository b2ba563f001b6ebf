#include "awq/quant/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "awq/base/error.h"
#include "awq/base/file.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

constexpr const char* kJournalName = "journal.jsonl";

fs::path WithoutSlash(const fs::path& target) {
  return target.filename().empty() ? target.parent_path() : target;  // "out/" means "out"
}

}  // namespace

fs::path RunFolder::PartialOf(const fs::path& target) {
  fs::path out = WithoutSlash(target);
  out += ".partial";
  return out;
}

RunFolder::RunFolder(fs::path target)
    : target_(WithoutSlash(std::move(target))), partial_(PartialOf(target_)) {
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(target_, ignored))) {
    AWQ_CHECK(fs::is_directory(target_, ignored) && fs::is_empty(target_, ignored),
              kInvalidArgument, target_.string(),
              ": output exists and is not an empty folder; remove it or choose another name");
  }
  existed_ = fs::exists(partial_, ignored);
  std::error_code made;
  fs::create_directories(partial_, made);
  AWQ_CHECK(!made, kIo, partial_.string(), ": cannot create folder: ", made.message());
  lock_ = ::open(partial_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  AWQ_CHECK(lock_ >= 0, kIo, partial_.string(), ": cannot open: ", std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(lock_);
    Fail(ErrorCode::kInvalidArgument, partial_.string(), ": another process is at work there");
  }
  RemoveUnrenamed();
}

// What WriteFileAtomically was about to rename when its process died.
void RunFolder::RemoveUnrenamed() const {
  std::error_code ignored;
  for (fs::directory_iterator at(output(), ignored), end; at != end; at.increment(ignored)) {
    if (at->path().filename().string().find(".tmp-") != std::string::npos) {
      fs::remove(at->path(), ignored);
    }
  }
}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
  std::error_code ignored;
  if (!existed_) fs::remove(partial_, ignored);  // if nothing was put there
}

std::unique_ptr<Journal> RunFolder::OpenJournal() const {
  return Journal::Open(partial_ / kJournalName);
}

std::unique_ptr<Journal> RunFolder::Begin(const RawJson& identity) {
  // The journal last: as long as it is there, the rest is known to be ours.
  for (const auto& entry : fs::directory_iterator(partial_)) {
    if (entry.path().filename() != kJournalName) fs::remove_all(entry.path());
  }
  fs::remove(partial_ / kJournalName);
  fs::create_directories(output());
  return Journal::Create(partial_ / kJournalName, identity);
}

void RunFolder::Commit() {
  SyncFolder(output());
  // rename() replaces an empty folder and nothing else, so a target that filled meanwhile is safe.
  AWQ_CHECK(::rename(output().c_str(), target_.c_str()) == 0, kIo, target_.string(),
            ": cannot rename into place: ", std::strerror(errno));
  SyncFolder(target_.parent_path());
  Discard();
}

void RunFolder::Discard() {
  std::error_code ignored;
  fs::remove_all(partial_, ignored);
}

}  // namespace awq
