// Python's `format % values`; Markup escapes the values.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "awq/text/jinja/builtins.h"
#include "awq/text/jinja/markup.h"
#include "awq/text/jinja/unicode.h"
#include "awq/text/utf8.h"

namespace awq::jinja {
namespace {

constexpr int kMaxWidth = 1000;

// %[(name)][flags][width][.precision]letter
struct Conversion {
  bool named = false;
  std::string name;
  std::string flags;
  int width = 0;
  int precision = -1;
  char letter = 's';

  bool Has(char flag) const { return flags.find(flag) != std::string::npos; }
};

class PercentFormatter {
 public:
  PercentFormatter(const Value& format, const Value& values)
      : format_(*format.String()), escapes_(format.As<Markup>() != nullptr) {
    const List* list = values.AsList();
    is_tuple_ = list != nullptr && list->IsTuple();
    // What can be indexed counts as a mapping, whose values need not all be used.
    const bool is_mapping = values.AsDict() != nullptr || values.IsUndefined() ||
                            (list != nullptr && list->IsSequence() && !is_tuple_);
    if (is_mapping) mapping_ = &values;
    if (is_tuple_) {
      items_ = list->items;
    } else {
      items_ = {values};
    }
  }

  std::string Run() {
    std::string out;
    while (at_ < format_.size()) {
      if (format_[at_] != '%') {
        out += format_[at_++];
      } else if (format_.substr(at_, 2) == "%%") {
        out += '%';
        at_ += 2;
      } else {
        ++at_;
        Convert(out);
      }
      if (out.size() > (size_t{64} << 20)) Raise("limit: the template makes too much text");
    }
    if (used_ < items_.size() && mapping_ == nullptr)
      Raise("not all arguments converted during string formatting");
    return out;
  }

 private:
  const Value& NextItem() {
    if (used_ >= items_.size()) Raise("not enough arguments for format string");
    return items_[used_++];
  }

  int ReadNumber() {
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      int64_t n = 0;
      if (!NextItem().Integer(n) || escapes_) Raise("* wants int");
      if (n > kMaxWidth || n < -kMaxWidth) Raise("limit: a format wider than 1000");
      return static_cast<int>(n);
    }
    int n = 0;
    for (; at_ < format_.size() && format_[at_] >= '0' && format_[at_] <= '9'; ++at_) {
      n = n * 10 + (format_[at_] - '0');
      if (n > kMaxWidth) Raise("limit: a format wider than 1000");
    }
    return n;
  }

  Conversion Read() {
    Conversion c;
    if (at_ < format_.size() && format_[at_] == '(') {
      if (mapping_ == nullptr || mapping_->AsDict() == nullptr) Raise("format requires a mapping");
      const size_t begin = ++at_;
      for (int depth = 1; at_ < format_.size(); ++at_) {
        depth += format_[at_] == '(' ? 1 : format_[at_] == ')' ? -1 : 0;
        if (depth == 0) break;
      }
      if (at_ >= format_.size()) Raise("incomplete format key");
      c.named = true;
      c.name = format_.substr(begin, at_ - begin);
      ++at_;
    }
    while (at_ < format_.size() &&
           std::string_view("-+ 0#").find(format_[at_]) != std::string_view::npos) {
      c.flags += format_[at_++];
    }
    c.width = ReadNumber();
    if (c.width < 0) {
      c.flags += '-';
      c.width = -c.width;
    }
    if (at_ < format_.size() && format_[at_] == '.') {
      ++at_;
      c.precision = std::max(0, ReadNumber());
    }
    if (at_ < format_.size() &&
        std::string_view("hlL").find(format_[at_]) != std::string_view::npos)
      ++at_;
    if (at_ >= format_.size()) Raise("incomplete format");
    c.letter = format_[at_++];
    return c;
  }

  void Convert(std::string& out) {
    const Conversion c = Read();
    if (c.letter == '%') {
      out += '%';
      return;
    }
    if (c.named) {
      const Value* v = mapping_->AsDict()->FindName(c.name);
      if (v == nullptr) Raise("format: no value for '" + c.name + "'");
      used_ = items_.size();
      out += Text(c, *v);
    } else {
      out += Text(c, NextItem());
    }
  }

  static std::string Pad(const Conversion& c, std::string text) {
    const auto missing = static_cast<size_t>(std::max<int64_t>(0, c.width - CountCharacters(text)));
    return c.Has('-') ? text + std::string(missing, ' ') : std::string(missing, ' ') + text;
  }

  static std::string Character(const Value& v) {
    int64_t code = 0;
    if (v.String() != nullptr && CountCharacters(*v.String()) == 1) return *v.String();
    if (!v.Integer(code)) Raise("%c requires int or char");
    if (code < 0 || code > 0x10ffff) Raise("%c arg not in range(0x110000)");
    if (code >= 0xd800 && code < 0xe000) Raise("unsupported: a surrogate");
    std::string out;
    AppendUtf8(static_cast<char32_t>(code), out);
    return out;
  }

  static std::string Integer(const Conversion& c, const Value& v) {
    int64_t i = 0;
    double d = 0;
    const bool decimal = c.letter == 'd' || c.letter == 'i' || c.letter == 'u';
    if (!v.Integer(i)) {
      if (!decimal || !v.Number(d) || !std::isfinite(d))
        Raise(std::string("%") + c.letter + " format: a number is required, not " + TypeName(v));
      if (!(std::abs(d) < 9.2e18)) Raise("limit: an integer beyond 64 bits");
      i = static_cast<int64_t>(d);
    }
    const uint64_t magnitude = i < 0 ? -static_cast<uint64_t>(i) : static_cast<uint64_t>(i);
    char buffer[32];
    std::snprintf(buffer, sizeof buffer,
                  decimal           ? "%llu"
                  : c.letter == 'x' ? "%llx"
                  : c.letter == 'X' ? "%llX"
                                    : "%llo",
                  static_cast<unsigned long long>(magnitude));
    std::string digits = buffer;
    if (static_cast<int>(digits.size()) < c.precision)
      digits.insert(0, static_cast<size_t>(c.precision) - digits.size(), '0');
    std::string sign = i < 0 ? "-" : c.Has('+') ? "+" : c.Has(' ') ? " " : "";
    if (c.Has('#') && !decimal) sign += std::string("0") + c.letter;
    const size_t size = sign.size() + digits.size();
    if (c.Has('0') && !c.Has('-') && static_cast<int>(size) < c.width)
      digits.insert(0, static_cast<size_t>(c.width) - size, '0');
    return Pad(c, sign + digits);
  }

  static std::string Float(const Conversion& c, const Value& v) {
    double d = 0;
    if (!v.Number(d)) Raise("must be real number, not " + TypeName(v));
    std::string spec = "%" + c.flags + std::to_string(c.width);
    if (c.width == 0) spec = "%" + c.flags;
    if (c.precision >= 0) spec += "." + std::to_string(c.precision);
    spec += c.letter;
    char buffer[2500];
    std::snprintf(buffer, sizeof buffer, spec.c_str(), d);
    return buffer;
  }

  // Markup wraps what it formats, and what is wrapped is neither a character nor an integer.
  std::string Text(const Conversion& c, const Value& v) const {
    if (escapes_ && std::string_view("cxXo").find(c.letter) != std::string_view::npos)
      Raise(std::string("%") + c.letter + " format: a number is required");
    if (escapes_ && v.String() != nullptr &&
        std::string_view("sra").find(c.letter) == std::string_view::npos)
      Raise("unsupported: Markup that formats a str as a number");
    switch (c.letter) {
      case 's':
      case 'r':
      case 'a': {
        std::string text = c.letter == 's' ? ToString(v) : Repr(v);
        if (escapes_) text = c.letter == 's' ? Escaped(v) : EscapeHtml(text);
        if (c.letter == 'a' && CountCharacters(text) != static_cast<int64_t>(text.size()))
          Raise("unsupported: %a of text that is not ASCII");
        if (c.precision >= 0) text = Prefix(text, c.precision);
        return Pad(c, std::move(text));
      }
      case 'c':
        return Pad(c, Character(v));
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return Integer(c, v);
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
        return Float(c, v);
      default:
        Raise(std::string("unsupported format character '") + c.letter + "'");
    }
  }

  std::string_view format_;
  bool escapes_;
  size_t at_ = 0;
  bool is_tuple_ = false;
  const Value* mapping_ = nullptr;
  std::vector<Value> items_;
  size_t used_ = 0;
};

}  // namespace

Value FormatPercent(const Value& format, const Value& values) {
  return Like(format, PercentFormatter(format, values).Run());
}

}  // namespace awq::jinja
