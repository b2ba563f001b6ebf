#include "awq/text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

// Line ends become \n, and the last one is dropped.
std::string NormalizeLines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool IsNameByte(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}
bool IsDigitByte(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(NormalizeLines(source)) {}

  std::vector<Token> Run() {
    while (at_ < source_.size()) Root();
    Add(Token::kEnd, "");
    return std::move(tokens_);
  }

 private:
  std::string_view Rest() const { return std::string_view(source_).substr(at_); }
  bool Sees(std::string_view text) const { return Rest().starts_with(text); }
  void Add(Token::Kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), position_});
  }
  [[noreturn]] void Fail(std::string message) const {
    throw SyntaxError{std::move(message), position_};
  }

  void Advance(size_t count) {
    for (; count > 0; --count, ++at_) {
      if (source_[at_] == '\n') {
        ++position_.line;
        position_.column = 1;
      } else if ((source_[at_] & 0xc0) != 0x80) {
        ++position_.column;
      }
    }
  }
  void SkipSpace() {
    while (at_ < source_.size()) {
      const Utf8Char c = DecodeUtf8(Rest());
      if (!IsSpace(c.code)) return;
      Advance(c.length);
    }
  }

  // Text up to the next tag, then the tag.
  void Root() {
    size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos) {
        Text(source_.size(), 0, false);
        return;
      }
      const char next = tag + 1 < source_.size() ? source_[tag + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') break;
    }
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const bool signed_tag = sign == '-' || sign == '+';
    Text(tag, signed_tag ? sign : '\0', kind != '{');
    const Position begin = position_;
    Advance(signed_tag ? 3 : 2);
    if (kind == '#') {
      Comment(begin);
    } else if (kind == '{') {
      Tag(Token::kPrintBegin, Token::kPrintEnd, "}}", begin);
    } else if (!Raw()) {
      Tag(Token::kBlockBegin, Token::kBlockEnd, "%}", begin);
    }
  }

  void Text(size_t end, char sign, bool strips_line) {
    std::string_view text = std::string_view(source_).substr(at_, end - at_);
    const size_t length = text.size();
    if (sign == '-') {
      text = StripRight(text);
    } else if (sign != '+' && strips_line) {
      // White space between the start of the line and the tag.
      const size_t line = text.rfind('\n') + 1;  // 0 when there is none
      if ((line > 0 || at_line_start_) && Strip(text.substr(line)).empty())
        text = text.substr(0, line);
    }
    if (!text.empty()) Add(Token::kText, std::string(text));
    Advance(length);
  }

  // The end of a block or comment takes one newline along, or with - all white space.
  void AfterTag(std::string_view close, bool takes_newline) {
    const char sign = Rest().front();
    const bool has_sign = sign == '-' || sign == '+';
    Advance(close.size() + (has_sign ? 1 : 0));
    const size_t before = at_;
    if (sign == '-') {
      SkipSpace();
    } else if (sign != '+' && takes_newline && Sees("\n")) {
      Advance(1);
    }
    at_line_start_ = at_ > before && source_[at_ - 1] == '\n';
  }

  bool SeesClose(std::string_view close, bool plus) const {
    return Sees(close) || Sees("-" + std::string(close)) ||
           (plus && Sees("+" + std::string(close)));
  }

  void Comment(Position begin) {
    if (at_ >= source_.size()) return;  // Jinja accepts it at the very end
    while (at_ < source_.size() && !SeesClose("#}", true)) Advance(1);
    if (at_ >= source_.size()) throw SyntaxError{"missing end of comment tag", begin};
    AfterTag("#}", true);
  }

  // {% raw %} … {% endraw %}, with the tag's opening already read.
  bool Raw() {
    const size_t saved = at_;
    const Position saved_position = position_;
    SkipSpace();
    const bool is_raw = Sees("raw") && (Advance(3), SkipSpace(), SeesClose("%}", false));
    if (!is_raw) {
      at_ = saved;
      position_ = saved_position;
      return false;
    }
    AfterTag("%}", false);
    if (at_ >= source_.size()) return true;  // Jinja accepts it at the very end
    for (size_t tag = at_;; ++tag) {
      tag = source_.find("{%", tag);
      if (tag == std::string::npos) Fail("missing end of raw directive");
      size_t p = tag + 2;
      const char sign = p < source_.size() ? source_[p] : '\0';
      if (sign == '-' || sign == '+') ++p;
      while (p < source_.size() && IsSpace(static_cast<unsigned char>(source_[p]))) ++p;
      if (source_.compare(p, 6, "endraw") != 0) continue;
      p += 6;
      while (p < source_.size() && IsSpace(static_cast<unsigned char>(source_[p]))) ++p;
      const size_t close =
          p + (p < source_.size() && (source_[p] == '-' || source_[p] == '+') ? 1 : 0);
      if (source_.compare(close, 2, "%}") != 0) continue;
      Text(tag, sign == '-' || sign == '+' ? sign : '\0', true);
      Advance(p - at_);
      AfterTag("%}", true);
      return true;
    }
  }

  void Tag(Token::Kind open, Token::Kind end, std::string_view close, Position begin) {
    tokens_.push_back({open, "", begin});
    std::string brackets;
    for (;;) {
      SkipSpace();
      if (at_ >= source_.size()) throw SyntaxError{"the tag that begins here has no end", begin};
      if (brackets.empty() && SeesClose(close, end == Token::kBlockEnd)) {
        Add(end, "");
        AfterTag(close, end == Token::kBlockEnd);
        return;
      }
      const char c = source_[at_];
      if (c == '\'' || c == '"') {
        String(c);
      } else if (IsDigitByte(c)) {
        Number();
      } else if (IsNameByte(c)) {
        const size_t from = at_;
        while (at_ < source_.size() && IsNameByte(source_[at_])) Advance(1);
        tokens_.push_back({Token::kName, source_.substr(from, at_ - from), position_});
      } else {
        Operator(brackets);
      }
    }
  }

  void Operator(std::string& brackets) {
    static constexpr std::array<std::string_view, 8> kLong = {
        "//", "**", "==", "!=", ">=", "<=", "-}", "+}"};
    for (std::string_view op : kLong) {
      if (op.back() != '}' && Sees(op)) {
        Add(Token::kOperator, std::string(op));
        Advance(op.size());
        return;
      }
    }
    const char c = source_[at_];
    static constexpr std::string_view kOpen = "([{";
    static constexpr std::string_view kClose = ")]}";
    if (kOpen.find(c) != std::string_view::npos) {
      brackets += kClose[kOpen.find(c)];
    } else if (kClose.find(c) != std::string_view::npos) {
      if (brackets.empty()) Fail(std::string("unexpected '") + c + "'");
      if (brackets.back() != c)
        Fail(std::string("unexpected '") + c + "', expected '" + brackets.back() + "'");
      brackets.pop_back();
    } else if (std::string_view("+-/*%~><=.:|,;").find(c) == std::string_view::npos) {
      Fail(std::string("unexpected char '") + c + "'");
    }
    Add(Token::kOperator, std::string(1, c));
    Advance(1);
  }

  void Number() {
    const Position begin = position_;
    const size_t from = at_;
    const auto digits = [&](auto is_digit) {
      while (at_ < source_.size() &&
             (is_digit(source_[at_]) ||
              (source_[at_] == '_' && at_ + 1 < source_.size() && is_digit(source_[at_ + 1])))) {
        Advance(1);
      }
    };
    const auto text = [&] {
      std::string out = source_.substr(from, at_ - from);
      std::erase(out, '_');
      return out;
    };
    const auto is_hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
    const char base = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : '\0';
    if (source_[at_] == '0' && (base == 'x' || base == 'o' || base == 'b')) {
      Advance(2);
      digits(is_hex);
      tokens_.push_back({Token::kInt, text(), begin});
      return;
    }
    if (source_[at_] == '0') {
      digits([](char c) { return c == '0'; });
    } else {
      digits(IsDigitByte);
    }
    bool is_float = false;
    const auto digit_at = [&](size_t i) { return i < source_.size() && IsDigitByte(source_[i]); };
    // After a dot digits are an index: x.0.1
    if (from > 0 && source_[from - 1] == '.') {
      tokens_.push_back({Token::kInt, text(), begin});
      return;
    }
    if (at_ < source_.size() && source_[at_] == '.' && digit_at(at_ + 1)) {
      is_float = true;
      Advance(1);
      digits(IsDigitByte);
    }
    if (at_ < source_.size() && (source_[at_] | 0x20) == 'e') {
      const bool sign =
          at_ + 1 < source_.size() && (source_[at_ + 1] == '+' || source_[at_ + 1] == '-');
      if (digit_at(at_ + (sign ? 2 : 1))) {
        is_float = true;
        Advance(sign ? 2 : 1);
        digits(IsDigitByte);
      }
    }
    tokens_.push_back({is_float ? Token::kFloat : Token::kInt, text(), begin});
  }

  void String(char quote) {
    const Position begin = position_;
    Advance(1);
    std::string out;
    for (;;) {
      if (at_ >= source_.size()) throw SyntaxError{"the string that begins here has no end", begin};
      const char c = source_[at_];
      if (c == quote) break;
      if (c == '\\' && at_ + 1 < source_.size()) {
        Escape(out);
      } else {
        out += c;
        Advance(1);
      }
    }
    Advance(1);
    tokens_.push_back({Token::kString, std::move(out), begin});
  }

  // Python's escapes; the backslash of an unknown one stays.
  void Escape(std::string& out) {
    const char c = source_[at_ + 1];
    static constexpr std::string_view kNames = "abfnrtv\\'\"";
    static constexpr std::string_view kCodes = "\a\b\f\n\r\t\v\\'\"";
    if (const size_t i = kNames.find(c); i != std::string_view::npos) {
      out += kCodes[i];
      Advance(2);
    } else if (c == '\n') {
      Advance(2);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      Advance(2);
      CodePoint(c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, true, out);
    } else if (c == 'N') {
      Fail("unsupported: the name of a character in a string");
    } else if (c >= '0' && c <= '7') {
      Advance(1);
      CodePoint(3, 8, false, out);
    } else {
      out += '\\';
      Advance(1);
    }
  }

  void CodePoint(int most, int base, bool exact, std::string& out) {
    char32_t code = 0;
    int count = 0;
    for (; count < most && at_ < source_.size(); ++count, Advance(1)) {
      const char c = source_[at_];
      int digit = 99;
      if (IsDigitByte(c))
        digit = c - '0';
      else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
        digit = (c | 0x20) - 'a' + 10;
      if (digit >= base) break;
      code = code * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
    }
    if ((exact && count < most) || code > 0x10ffff) Fail("bad escape in a string");
    if (code >= 0xd800 && code < 0xe000) Fail("unsupported: a surrogate in a string");
    AppendUtf8(code, out);
  }

  std::string source_;
  size_t at_ = 0;
  Position position_;
  bool at_line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> Tokenize(std::string_view source) { return Lexer(source).Run(); }

}  // namespace awq::jinja
