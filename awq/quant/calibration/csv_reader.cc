// CSV and TSV with a header line (RFC 4180): quoted fields may hold separators, line ends and
// doubled quotes.
#include <algorithm>

#include "awq/base/error.h"
#include "awq/quant/calibration/record_reader.h"

namespace awq {
namespace {

bool Contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

class CsvReader : public RecordReader {
 public:
  CsvReader(std::unique_ptr<TextInput> in, char separator, const std::string& column)
      : in_(std::move(in)), separator_(separator) {
    // Spreadsheets of many countries write semicolons into .csv.
    const std::string_view head = in_->Head();
    const std::string_view first = head.substr(0, head.find('\n'));
    if (separator == ',' && first.find(',') == first.npos) {
      if (first.find(';') != first.npos) separator_ = ';';
      if (first.find('\t') != first.npos) separator_ = '\t';
    }
    if (!ReadRow(header_)) return;
    column_ = FindColumn(column);
    json_ = header_[column_] != "text" && Contains(DefaultColumns(), header_[column_]);
  }

  bool Next(CalibrationRecord& record) override {
    std::string where;
    do {
      where = in_->Where(in_->line());
      if (!ReadRow(row_)) return false;
    } while (row_.size() == 1 && row_[0].empty());
    AWQ_CHECK(row_.size() == header_.size(), kCorrupt, where, ": expected ", header_.size(),
              " fields, as in the header, found ", row_.size());
    if (json_) {
      record = RecordFromJson(Json::Parse(row_[column_], where), "", where);
      return true;
    }
    record = {};
    record.text = std::move(row_[column_]);
    record.where = where;
    record.bytes = sizeof record + record.text.size();
    return true;
  }

 private:
  size_t FindColumn(const std::string& wanted) const {
    const auto at = [&](const std::string& name) {
      return static_cast<size_t>(std::find(header_.begin(), header_.end(), name) - header_.begin());
    };
    std::string known;
    for (const std::string& name : header_) known += (known.empty() ? "\"" : ", \"") + name + "\"";
    if (!wanted.empty()) {
      AWQ_CHECK(Contains(header_, wanted), kCorrupt, in_->Where(1), ": no column \"", wanted,
                "\"; found ", known);
      return at(wanted);
    }
    for (const std::string& name : DefaultColumns()) {
      if (Contains(header_, name)) return at(name);
    }
    AWQ_CHECK(header_.size() == 1, kCorrupt, in_->Where(1),
              ": expected a header with \"text\", \"tokens\" or \"messages\", found ", known,
              "; name the column with --calib-column");
    return 0;
  }

  // One row; false at the end.
  bool ReadRow(std::vector<std::string>& row) {
    row.clear();
    if (in_->Peek() < 0) return false;
    const int64_t begin = in_->line();
    size_t bytes = 0;
    while (true) {
      row.emplace_back();
      const int end = ReadField(row.back(), begin);
      bytes += row.back().size();
      AWQ_CHECK(bytes <= TextInput::kLongest, kUnsupported, in_->Where(begin),
                ": a row of more than ", TextInput::kLongest >> 20, " MiB; is a quote not closed?");
      if (end != separator_) return true;
    }
  }

  // Up to and with the separator or line end behind it, which is returned; -1: the end.
  int ReadField(std::string& field, int64_t row_begin) {
    const bool quoted = in_->Peek() == '"';
    if (quoted) {
      in_->Get();
      while (true) {
        const int c = in_->Get();
        AWQ_CHECK(c >= 0 && field.size() <= TextInput::kLongest, kCorrupt, in_->Where(row_begin),
                  ": a quoted field of the row that begins here is not closed");
        if (c == '"' && in_->Peek() != '"') break;
        if (c == '"') in_->Get();
        field += static_cast<char>(c);
      }
    }
    while (true) {
      const int c = in_->Get();
      if (c == separator_ || c == '\n' || c < 0) {
        if (!quoted && field.ends_with('\r')) field.pop_back();
        return c;
      }
      AWQ_CHECK(!quoted || c == '\r', kCorrupt, in_->Where(in_->line()),
                ": expected a separator behind a closing quote, found '", static_cast<char>(c),
                "'; a quote inside a quoted field is doubled");
      if (!quoted) field += static_cast<char>(c);
      AWQ_CHECK(field.size() <= TextInput::kLongest, kUnsupported, in_->Where(row_begin),
                ": a field of more than ", TextInput::kLongest >> 20, " MiB");
    }
  }

  std::unique_ptr<TextInput> in_;
  char separator_;
  std::vector<std::string> header_;
  std::vector<std::string> row_;
  size_t column_ = 0;
  bool json_ = false;  // the column holds lists
};

}  // namespace

std::unique_ptr<RecordReader> MakeCsvReader(std::unique_ptr<TextInput> in, char separator,
                                            const std::string& column) {
  return std::make_unique<CsvReader>(std::move(in), separator, column);
}

}  // namespace awq
