#include "awq/quant/calibration/text_input.h"

#include "awq/base/error.h"

namespace awq {
namespace {

constexpr size_t kBuffer = size_t{1} << 16;

struct Foreign {
  std::string_view magic;
  std::string_view what;
  std::string_view cure;
};

using namespace std::string_view_literals;
constexpr Foreign kForeign[] = {
    {"PAR1"sv, "Parquet",
     "convert it, e.g. python -c \"import pandas as p; p.read_parquet('x.parquet').to_json("
     "'x.jsonl', orient='records', lines=True)\""},
    {"ARROW1"sv, "Arrow", "save the data set as JSONL (datasets: to_json('x.jsonl'))"},
    {"\xff\xff\xff\xff"sv, "Arrow", "save the data set as JSONL (datasets: to_json('x.jsonl'))"},
    {"PK\x03\x04"sv, "a ZIP archive", "unpack it"},
    {"BZh"sv, "bzip2", "unpack it, or use gzip or zstd"},
    {"\xfd"
     "7zXZ"sv,
     "xz", "unpack it, or use gzip or zstd"},
    {"\xff\xfe"sv, "UTF-16", "convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"},
    {"\xfe\xff"sv, "UTF-16", "convert it to UTF-8 (iconv -f UTF-16 -t UTF-8)"},
};

}  // namespace

TextInput::TextInput(const std::filesystem::path& file)
    : name_(file == "-" ? "standard input" : file.string()), source_(ByteSource::Open(file)) {
  while (Rest().size() < kHead && Fill()) {
  }
  RefuseBinary();
  if (Rest().starts_with("\xef\xbb\xbf")) at_ += 3;
}

TextInput::TextInput(std::string name, std::string_view text)
    : name_(std::move(name)), view_(text) {}

void TextInput::RefuseBinary() const {
  const std::string_view head = Head();
  for (const Foreign& f : kForeign) {
    AWQ_CHECK(!head.starts_with(f.magic), kUnsupported, name_, ": is ", f.what,
              ", which is not read here; ", f.cure);
  }
  AWQ_CHECK(head.find('\0') == std::string_view::npos, kUnsupported, name_,
            ": holds binary data; supported: UTF-8 text, JSONL, JSON, CSV, TSV, also as .gz or "
            ".zst");
}

bool TextInput::Fill() {
  if (source_ == nullptr) return false;
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t held = buffer_.size();
  buffer_.resize(held + kBuffer);
  const size_t n = source_->Read(buffer_.data() + held, kBuffer);
  buffer_.resize(held + n);
  view_ = buffer_;
  return n > 0;
}

int TextInput::Peek() {
  if (at_ == view_.size() && !Fill()) return -1;
  return static_cast<unsigned char>(view_[at_]);
}

int TextInput::Get() {
  const int c = Peek();
  if (c >= 0) ++at_;
  if (c == '\n') ++line_;
  return c;
}

bool TextInput::ReadLine(std::string& line) {
  line.clear();
  if (Peek() < 0) return false;
  while (Peek() >= 0) {
    const std::string_view rest = Rest();
    const size_t end = rest.find('\n');
    line.append(rest.substr(0, end));
    AWQ_CHECK(line.size() <= kLongest, kUnsupported, Where(line_), ": a line of more than ",
              kLongest >> 20, " MiB");
    if (end != std::string_view::npos) {
      at_ += end + 1;
      ++line_;
      break;
    }
    at_ = view_.size();
  }
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

}  // namespace awq
