#include "awq/api/internal/resources.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "awq/base/clock.h"
#include "awq/base/error.h"
#include "awq/checkpoint/manifest.h"

namespace awq {
namespace fs = std::filesystem;

int64_t ProcessBytes() {
  std::ifstream status("/proc/self/status");
  int64_t kilobytes = 0;
  for (std::string word; status >> word;) {
    int64_t value = 0;
    if ((word == "RssAnon:" || word == "RssShmem:") && status >> value) kilobytes += value;
  }
  return kilobytes * 1024;
}

int64_t FreeDisk(const fs::path& target) {
  std::error_code failed;
  for (fs::path at = fs::absolute(target, failed); !at.empty(); at = at.parent_path()) {
    const fs::space_info space = fs::space(at, failed);
    if (!failed) return static_cast<int64_t>(space.available);
    if (at == at.parent_path()) break;
  }
  return 0;
}

int64_t BytesIn(const fs::path& folder) {
  int64_t bytes = 0;
  std::error_code ignored;
  for (fs::recursive_directory_iterator at(folder, ignored), end; at != end;
       at.increment(ignored)) {
    struct stat info {};
    if (::lstat(at->path().c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
      bytes += int64_t{info.st_blocks} * 512;
    }
  }
  return bytes;
}

std::string Megabytes(int64_t bytes) {
  return Cat(std::llround(std::ceil(static_cast<double>(bytes) / 1e6)), " MB");
}

double MeasureHashing() {
  const std::string text(size_t{16} << 20, 'x');
  const double start = ProcessorSeconds();
  Sha256OfText(text);
  return static_cast<double>(text.size()) / (ProcessorSeconds() - start);
}

}  // namespace awq
