// JSONL: a JSON value a line, empty lines between them allowed.
#include "awq/quant/calibration/record_reader.h"

namespace awq {
namespace {

class JsonLinesReader : public RecordReader {
 public:
  JsonLinesReader(std::unique_ptr<TextInput> in, std::string column)
      : in_(std::move(in)), column_(std::move(column)) {}

  bool Next(CalibrationRecord& record) override {
    while (true) {
      const std::string where = in_->Where(in_->line());
      if (!in_->ReadLine(line_)) return false;
      if (line_.find_first_not_of(" \t") == std::string::npos) continue;
      record = RecordFromJson(Json::Parse(line_, where), column_, where);
      return true;
    }
  }

 private:
  std::unique_ptr<TextInput> in_;
  std::string column_;
  std::string line_;
};

}  // namespace

std::unique_ptr<RecordReader> MakeJsonLinesReader(std::unique_ptr<TextInput> in,
                                                  std::string column) {
  return std::make_unique<JsonLinesReader>(std::move(in), std::move(column));
}

}  // namespace awq
