// Normalizers that drop or exchange single characters.
#include "awq/text/byte_level.h"
#include "awq/text/normalizer/map_chars.h"
#include "awq/text/normalizer/normalizers.h"
#include "awq/text/unicode.h"

namespace awq {
namespace {

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}

  void Apply(NormalText& text) const override {
    std::string_view rest = text.text;
    while (right_ && !rest.empty()) {
      const std::string_view last = LastCharacter(rest);
      if (!IsSpace(DecodeUtf8(last).code)) break;
      rest.remove_suffix(last.size());
    }
    size_t cut = 0;
    while (left_ && cut < rest.size()) {
      const Utf8Char c = DecodeUtf8(rest.substr(cut));
      if (!IsSpace(c.code)) break;
      cut += c.length;
    }
    text.head = text.head > cut ? std::min(text.head - cut, rest.size()) : 0;
    text.text = std::string(rest.substr(cut));
  }

 private:
  bool left_, right_;
};

class StripAccents : public Normalizer {
 public:
  void Apply(NormalText& text) const override {
    if (IsAscii(text.text)) return;
    MapChars(text, [](char32_t c, std::string& out) {
      if (!IsMark(c)) AppendUtf8(c, out);
    });
  }
};

class Lowercase : public Normalizer {
 public:
  void Apply(NormalText& text) const override { MapChars(text, AppendLower); }
};

class Nmt : public Normalizer {
 public:
  void Apply(NormalText& text) const override {
    MapChars(text, [](char32_t c, std::string& out) {
      if ((c >= 0x01 && c <= 0x08) || c == 0x0b || (c >= 0x0e && c <= 0x1f) || c == 0x7f ||
          c == 0x8f || c == 0x9f) {
        return;
      }
      const bool space = c == 0x09 || c == 0x0a || c == 0x0c || c == 0x0d || c == 0x1680 ||
                         (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 ||
                         c == 0x2581 || c == 0xfeff || c == 0xfffd;
      AppendUtf8(space ? U' ' : c, out);
    });
  }
};

class ByteLevelNormalizer : public Normalizer {
 public:
  void Apply(NormalText& text) const override {
    const size_t head = PieceOfBytes(std::string_view(text.text).substr(0, text.head)).size();
    text.text = PieceOfBytes(text.text);
    text.head = head;
  }
};

bool IsIdeograph(char32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
         (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
         (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

class Bert : public Normalizer {
 public:
  explicit Bert(const BertNormalizerOptions& options)
      : options_(options), decompose_(MakeUnicodeForm(NormalForm::kNfd)) {}

  void Apply(NormalText& text) const override {
    if (options_.clean_text || options_.handle_chinese_chars) {
      MapChars(text, [this](char32_t c, std::string& out) { Clean(c, out); });
    }
    if (options_.strip_accents && !IsAscii(text.text)) {
      decompose_->Apply(text);
      MapChars(text, [](char32_t c, std::string& out) {
        if (!IsNonspacingMark(c)) AppendUtf8(c, out);
      });
    }
    if (options_.lowercase) MapChars(text, AppendLower);
  }

 private:
  void Clean(char32_t c, std::string& out) const {
    if (options_.clean_text) {
      const bool breaks = c == '\t' || c == '\n' || c == '\r';  // which are of the others too
      if (!breaks && (c == 0 || c == kReplacement || IsOther(c))) return;
      if (breaks || IsSpace(c)) c = ' ';
    }
    const bool apart = options_.handle_chinese_chars && IsIdeograph(c);
    if (apart) out += ' ';
    AppendUtf8(c, out);
    if (apart) out += ' ';
  }

  BertNormalizerOptions options_;
  std::unique_ptr<const Normalizer> decompose_;
};

}  // namespace

std::unique_ptr<const Normalizer> MakeStrip(bool left, bool right) {
  return std::make_unique<Strip>(left, right);
}
std::unique_ptr<const Normalizer> MakeStripAccents() { return std::make_unique<StripAccents>(); }
std::unique_ptr<const Normalizer> MakeLowercase() { return std::make_unique<Lowercase>(); }
std::unique_ptr<const Normalizer> MakeNmt() { return std::make_unique<Nmt>(); }
std::unique_ptr<const Normalizer> MakeByteLevelNormalizer() {
  return std::make_unique<ByteLevelNormalizer>();
}
std::unique_ptr<const Normalizer> MakeBert(const BertNormalizerOptions& options) {
  return std::make_unique<Bert>(options);
}

}  // namespace awq
