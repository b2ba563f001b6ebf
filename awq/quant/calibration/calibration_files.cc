#include "awq/quant/calibration/calibration_files.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "awq/base/error.h"
#include "awq/base/file.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

bool DescribesDataSet(const std::string& name) {
  static const std::set<std::string> names = {
      "README.md",          "LICENSE",           "LICENSE.txt", "LICENSE.md", "dataset_info.json",
      "dataset_infos.json", "dataset_dict.json", "state.json"};
  return names.contains(name);
}

std::vector<fs::path> FilesBelow(const fs::path& folder) {
  std::vector<fs::path> out;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::end(it); ++it) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.')) {
      if (it->is_directory()) it.disable_recursion_pending();
      continue;
    }
    if (it->is_regular_file() && !DescribesDataSet(name)) out.push_back(it->path());
  }
  std::sort(out.begin(), out.end());
  AWQ_CHECK(!out.empty(), kNotFound, folder.string(), ": the folder holds no calibration files");
  return out;
}

// "name" or "org/name", of letters, digits, '-', '_' and '.'.
bool LooksLikeHubName(const std::string& name) {
  if (name.empty() || name.front() == '/' || name.front() == '.' || name.back() == '/')
    return false;
  const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '/';
  });
  return plain && std::count(name.begin(), name.end(), '/') <= 1;
}

// The snapshot that refs/main names, or the only one.
fs::path Snapshot(const fs::path& repository) {
  const fs::path ref = repository / "refs" / "main";
  if (fs::exists(ref)) {
    std::string commit = ReadFile(ref);
    while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back())) != 0) {
      commit.pop_back();
    }
    if (fs::is_directory(repository / "snapshots" / commit)) {
      return repository / "snapshots" / commit;
    }
  }
  std::vector<fs::path> all;
  if (fs::is_directory(repository / "snapshots")) {
    for (const auto& entry : fs::directory_iterator(repository / "snapshots")) {
      all.push_back(entry.path());
    }
  }
  AWQ_CHECK(all.size() == 1, kNotFound, repository.string(),
            ": expected a snapshot that refs/main ", "names, or a single one, found ", all.size());
  return all.front();
}

}  // namespace

std::vector<fs::path> FindCalibrationFiles(const std::string& source,
                                           const std::vector<fs::path>& hub_caches) {
  if (source == "-") return {source};
  if (fs::is_directory(source)) return FilesBelow(source);
  if (fs::exists(source)) return {source};
  AWQ_CHECK(LooksLikeHubName(source), kNotFound, source, ": no such file or folder");
  std::string cached = "datasets--" + source;
  if (const size_t slash = cached.find('/'); slash != cached.npos) cached.replace(slash, 1, "--");
  std::string looked;
  for (const fs::path& cache : hub_caches) {
    if (fs::is_directory(cache / cached)) return FilesBelow(Snapshot(cache / cached));
    looked += (looked.empty() ? "" : ", ") + (cache / cached).string();
  }
  Fail(ErrorCode::kNotFound, source, ": no such file or folder; data sets are not downloaded",
       looked.empty() ? "" : ", and there is no copy at ", looked,
       "; fetch it (huggingface-cli download --repo-type dataset ", source,
       "), or name a file: text, JSONL, JSON, CSV");
}

}  // namespace awq
