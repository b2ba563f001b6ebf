#include "awq/quant/calibration/record_reader.h"

#include <cctype>

#include "awq/base/error.h"

namespace awq {
namespace {

// In lower case, that of a compression taken off.
std::string Extension(std::filesystem::path file) {
  const auto lower = [](std::string s) {
    for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return s;
  };
  std::string out = lower(file.extension().string());
  if (out == ".gz" || out == ".zst" || out == ".zstd") {
    out = lower(file.replace_extension().extension().string());
  }
  return out;
}

enum class Opening { kText, kValue, kArrayOfRecords };

// By the first two characters that are no white space. "[1" opens a list of token ids, a value.
Opening OpeningOf(std::string_view head) {
  std::string start;
  for (char c : head) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0) start += c;
    if (start.size() == 2) break;
  }
  if (start.empty() || start == "{" || start == "[") return Opening::kValue;
  const char next = start[1];
  if (start[0] == '{') return next == '"' || next == '}' ? Opening::kValue : Opening::kText;
  if (start[0] != '[') return Opening::kText;
  if (std::isdigit(static_cast<unsigned char>(next)) != 0) return Opening::kValue;
  const bool record = next == '{' || next == '"' || next == '[' || next == ']';
  return record ? Opening::kArrayOfRecords : Opening::kText;
}

}  // namespace

std::unique_ptr<RecordReader> MakeRecordReader(std::unique_ptr<TextInput> in,
                                               const std::filesystem::path& file,
                                               const RecordOptions& options) {
  const std::string extension = Extension(file);
  if (extension == ".csv") return MakeCsvReader(std::move(in), ',', options.column);
  if (extension == ".tsv") return MakeCsvReader(std::move(in), '\t', options.column);
  if (extension == ".jsonl" || extension == ".ndjson") {
    return MakeJsonLinesReader(std::move(in), options.column);
  }
  const bool text = extension == ".txt" || extension == ".text" || extension == ".md";
  const Opening opening = text ? Opening::kText : OpeningOf(in->Head());
  if (opening == Opening::kArrayOfRecords) {
    return MakeJsonArrayReader(std::move(in), options.column);
  }
  if (opening == Opening::kValue || extension == ".json") {
    return MakeJsonLinesReader(std::move(in), options.column);
  }
  return MakeTextReader(std::move(in), options.by_line);
}

}  // namespace awq
