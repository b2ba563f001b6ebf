// Plain text: pieces of it, cut behind a line's end, or single lines.
#include "awq/quant/calibration/record_reader.h"

namespace awq {
namespace {

// Small enough for shuffling to reach many places of a long text, large enough for a whole block of
// context in each.
constexpr size_t kPiece = size_t{64} << 10;

class TextReader : public RecordReader {
 public:
  TextReader(std::unique_ptr<TextInput> in, bool by_line) : in_(std::move(in)), by_line_(by_line) {}

  bool Next(CalibrationRecord& record) override {
    record = {};
    record.where = in_->Where(in_->line());
    if (by_line_) {
      if (!in_->ReadLine(record.text)) return false;
    } else {
      while (in_->Peek() >= 0) {
        record.text += static_cast<char>(in_->Get());
        if (record.text.size() >= kPiece && AtCut(record.text)) break;
      }
      if (record.text.empty()) return false;
    }
    record.bytes = sizeof record + record.text.size();
    return true;
  }

 private:
  // Behind a line; in a text without lines, where a character ends.
  bool AtCut(const std::string& text) {
    if (text.back() == '\n') return true;
    const int next = in_->Peek();
    return text.size() >= 2 * kPiece && (next < 0 || (next & 0xc0) != 0x80);
  }

  std::unique_ptr<TextInput> in_;
  bool by_line_;
};

}  // namespace

std::unique_ptr<RecordReader> MakeTextReader(std::unique_ptr<TextInput> in, bool by_line) {
  return std::make_unique<TextReader>(std::move(in), by_line);
}

}  // namespace awq
