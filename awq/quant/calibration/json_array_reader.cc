// A JSON array of records, read element by element: the array itself is never held.
#include <cctype>

#include "awq/base/error.h"
#include "awq/quant/calibration/record_reader.h"

namespace awq {
namespace {

class JsonArrayReader : public RecordReader {
 public:
  JsonArrayReader(std::unique_ptr<TextInput> in, std::string column)
      : in_(std::move(in)), column_(std::move(column)) {
    SkipSpace();
    in_->Get();  // the bracket that it was recognised by
  }

  bool Next(CalibrationRecord& record) override {
    SkipSpace();
    if (done_) return false;
    if (in_->Peek() == ']') return Finish();
    if (!first_) {
      Expect(',');
      SkipSpace();
    }
    first_ = false;
    const std::string where = in_->Where(in_->line());
    ReadElement(where);
    record = RecordFromJson(Json::Parse(element_, where), column_, where);
    return true;
  }

 private:
  void SkipSpace() {
    while (in_->Peek() >= 0 && std::isspace(in_->Peek()) != 0) in_->Get();
  }

  void Expect(char wanted) {
    const int c = in_->Get();
    AWQ_CHECK(c == wanted, kCorrupt, in_->Where(in_->line()), ": expected '", wanted,
              "' or ']' behind an element of the array, found ", Shown(c));
  }

  static std::string Shown(int c) {
    return c < 0 ? "the end of the file" : Cat("'", static_cast<char>(c), "'");
  }

  bool Finish() {
    in_->Get();
    done_ = true;
    SkipSpace();
    AWQ_CHECK(in_->Peek() < 0, kCorrupt, in_->Where(in_->line()),
              ": expected nothing behind the array, found ", Shown(in_->Peek()));
    return false;
  }

  // Up to the comma or bracket that ends it; what it is is for the parser to say.
  void ReadElement(const std::string& where) {
    element_.clear();
    int depth = 0;
    bool in_string = false;
    while (true) {
      const int c = in_->Peek();
      AWQ_CHECK(c >= 0, kCorrupt, where, ": the array's element that begins here has no end");
      if (!in_string && depth == 0 && (c == ',' || c == ']')) return;
      element_ += static_cast<char>(in_->Get());
      AWQ_CHECK(element_.size() <= TextInput::kLongest, kUnsupported, where,
                ": an element of more than ", TextInput::kLongest >> 20, " MiB");
      if (in_string && c == '\\' && in_->Peek() >= 0) element_ += static_cast<char>(in_->Get());
      if (c == '"') in_string = !in_string;
      if (in_string) continue;
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
    }
  }

  std::unique_ptr<TextInput> in_;
  std::string column_;
  std::string element_;
  bool first_ = true;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> MakeJsonArrayReader(std::unique_ptr<TextInput> in,
                                                  std::string column) {
  return std::make_unique<JsonArrayReader>(std::move(in), std::move(column));
}

}  // namespace awq
