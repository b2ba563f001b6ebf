#include "awq/quant/journal.h"

#include "awq/base/error.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

std::string Line(const RawJson& json) {
  return json.dump(-1, ' ', false, RawJson::error_handler_t::replace) + "\n";
}

std::string Difference(const RawJson& before, const RawJson& now, const std::string& path) {
  if (before == now) return "";
  if (before.is_object() && now.is_object()) {
    const auto child = [&](const std::string& key) {
      return path.empty() ? key : path + "." + key;
    };
    for (const auto& [key, value] : before.items()) {
      if (!now.contains(key)) return child(key) + ": the interrupted run had it, this one has not";
      std::string found = Difference(value, now.at(key), child(key));
      if (!found.empty()) return found;
    }
    for (const auto& [key, value] : now.items()) {
      if (!before.contains(key))
        return child(key) + ": this run has it, the interrupted one had not";
    }
    return path + ": the order of its entries changed";
  }
  return Cat(path, ": the interrupted run had ", before.dump(), ", this one has ", now.dump());
}

}  // namespace

std::unique_ptr<Journal> Journal::Create(const fs::path& file, const RawJson& identity) {
  std::unique_ptr<Journal> out(new Journal(file, 0));
  out->identity_ = identity;
  out->Put(identity);
  SyncFolder(file.parent_path());
  return out;
}

std::unique_ptr<Journal> Journal::Open(const fs::path& file) {
  if (!fs::exists(file)) return nullptr;
  const std::string text = ReadFile(file);
  std::vector<RawJson> lines;
  size_t whole = 0;
  while (true) {
    const size_t end = text.find('\n', whole);
    if (end == std::string::npos) break;
    RawJson line = RawJson::parse(text.substr(whole, end - whole), nullptr, false);
    if (line.is_discarded()) break;
    lines.push_back(std::move(line));
    whole = end + 1;
  }
  const size_t bad = text.find('\n', whole);
  AWQ_CHECK(bad == std::string::npos || bad + 1 == text.size(), kCorrupt, file.string(), ": line ",
            lines.size() + 1, " is not JSON; remove the folder to begin again");
  if (lines.empty()) return nullptr;
  std::unique_ptr<Journal> out(new Journal(file, static_cast<int64_t>(whole)));
  out->identity_ = std::move(lines.front());
  out->records_.assign(std::make_move_iterator(lines.begin() + 1),
                       std::make_move_iterator(lines.end()));
  out->size_ = static_cast<int64_t>(out->records_.size());
  return out;
}

void Journal::Append(const RawJson& record) {
  Put(record);
  ++size_;
}

void Journal::Put(const RawJson& line) {
  out_.Write(Line(line));
  out_.Sync();
}

std::string FirstDifference(const RawJson& before, const RawJson& now) {
  return Difference(before, now, "");
}

}  // namespace awq
