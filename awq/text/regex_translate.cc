// From Oniguruma's Ruby syntax to PCRE2's.
#include <cstdint>
#include <ios>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "awq/base/error.h"
#include "awq/text/regex.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

// Unicode's White_Space. PCRE2's \s also takes U+180E, which lost that property in Unicode 6.3.
constexpr std::string_view kSpaces =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"
    "\\x{205f}\\x{3000}";
constexpr std::string_view kNoSpaces =
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"
    "\\x{3001}-\\x{10ffff}";
constexpr std::string_view kHex = "0-9a-fA-F";

struct PropertyRange {
  std::string_view name;
  char32_t first, last;
};

// What Oniguruma knows and the PCRE2 of Debian 12 does not, by the name of the property.
#include "awq/text/regex_tables.inc"

class Translator {
 public:
  Translator(std::string_view in, bool newest)
      : in_(in),
        newest_(newest),
        words_(Property("Alphabetic") + Property("M") + Property("Nd") + Property("Pc")) {}

  std::string Run() {
    while (at_ < in_.size()) Next();
    return std::move(out_);
  }

 private:
  char Peek(size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }

  // A property as members of a class.
  std::string Property(std::string_view name) const {
    std::string out = Cat("\\p{", name, "}");
    for (const PropertyRange& r : kAddedThere) {
      if (newest_ && r.name == name) {
        out += Cat("\\x{", std::hex, static_cast<uint32_t>(r.first), "}-\\x{",
                   static_cast<uint32_t>(r.last), "}");
      }
    }
    return out;
  }

  // The name after \p or \P, when it is one that has additions.
  std::optional<std::string_view> PropertyName() {
    if (!newest_) return std::nullopt;
    std::string_view name = in_.substr(at_, 1);
    size_t end = at_ + 1;
    if (Peek() == '{') {
      end = in_.find('}', at_);
      if (end == std::string_view::npos) return std::nullopt;
      name = in_.substr(at_ + 1, end - at_ - 1);
      ++end;
    }
    for (const PropertyRange& r : kAddedThere) {
      if (r.name != name) continue;
      at_ = end;
      return name;
    }
    return std::nullopt;
  }

  void Next() {
    const char c = in_[at_];
    if (c == '\\' && at_ + 1 < in_.size()) {
      BeginAtom();
      Escape();
    } else if (c == '[') {
      BeginAtom();
      ++at_;
      out_ += Class(0);
    } else if (c == '(') {
      groups_.push_back(out_.size());
      OpenGroup();
    } else if (c == ')') {
      ++at_;
      out_ += ')';
      atom_ = groups_.empty() ? out_.size() - 1 : groups_.back();
      if (!groups_.empty()) groups_.pop_back();
      interval_ = false;
    } else if (c == '{' && Interval()) {
      interval_ = true;
    } else {
      Plain(c);
    }
  }

  void BeginAtom() {
    atom_ = out_.size();
    interval_ = false;
  }

  void Plain(char c) {
    ++at_;
    if (c == '+' && interval_) {  // Ruby: again and again; PCRE2: without giving back
      out_.insert(atom_, "(?:");
      out_ += ")";
    } else if (c != '*' && c != '+' && c != '?' && (c & 0xc0) != 0x80) {
      BeginAtom();
    }
    interval_ = false;
    out_ += c;
  }

  // {2} {2,} {2,3} and {,3}, which PCRE2 does not know.
  bool Interval() {
    size_t end = at_ + 1;
    const auto digits = [&] {
      const size_t begin = end;
      while (end < in_.size() && in_[end] >= '0' && in_[end] <= '9') ++end;
      return in_.substr(begin, end - begin);
    };
    const std::string_view low = digits();
    const bool comma = end < in_.size() && in_[end] == ',';
    if (comma) ++end;
    const std::string_view high = comma ? digits() : std::string_view();
    if (end >= in_.size() || in_[end] != '}' || (low.empty() && high.empty())) return false;
    out_ += Cat("{", low.empty() ? "0" : low, comma ? "," : "", high, "}");
    at_ = end + 1;
    return true;
  }

  // (?m) of Ruby is (?s) elsewhere; its ^ and $ are always at lines.
  void OpenGroup() {
    ++at_;
    out_ += '(';
    if (Peek() != '?') {
      AWQ_CHECK(Peek() != '*', kCorrupt, "pattern \"", in_, "\": unknown verb at byte ", at_);
      return;
    }
    size_t end = at_ + 1;
    while (end < in_.size() &&
           (in_[end] == 'i' || in_[end] == 'm' || in_[end] == 'x' || in_[end] == '-')) {
      ++end;
    }
    if (end == at_ + 1 || end >= in_.size() || (in_[end] != ':' && in_[end] != ')')) return;
    for (; at_ < end; ++at_) out_ += in_[at_] == 'm' ? 's' : in_[at_];
  }

  void Escape() {
    const char c = Peek(1);
    at_ += 2;
    switch (c) {
      case 's':
        out_ += Cat("[", kSpaces, "]");
        return;
      case 'S':
        out_ += Cat("[^", kSpaces, "]");
        return;
      case 'w':
        out_ += Cat("[", words_, "]");
        return;
      case 'W':
        out_ += Cat("[^", words_, "]");
        return;
      case 'd':
        out_ += Cat("[", Property("Nd"), "]");
        return;
      case 'D':
        out_ += Cat("[^", Property("Nd"), "]");
        return;
      case 'h':
        out_ += Cat("[", kHex, "]");
        return;
      case 'H':
        out_ += Cat("[^", kHex, "]");
        return;
      case 'b':
        out_ +=
            Cat("(?:(?<=[", words_, "])(?![", words_, "])|(?<![", words_, "])(?=[", words_, "]))");
        return;
      case 'B':
        out_ +=
            Cat("(?:(?<=[", words_, "])(?=[", words_, "])|(?<![", words_, "])(?![", words_, "]))");
        return;
      case 'u':
        if (AppendCodeUnit(out_)) return;
        break;
      default:
        break;
    }
    if (c == 'p' || c == 'P') {
      if (const auto name = PropertyName()) {
        out_ += Cat(c == 'p' ? "[" : "[^", Property(*name), "]");
        return;
      }
    }
    out_ += {'\\', c};
    if (c == 'p' || c == 'P' || c == 'x') CopyBraces(out_);
  }

  // {…} after \p and \x, so that it is not taken for an interval.
  void CopyBraces(std::string& out) {
    if (Peek() != '{') return;
    const size_t end = in_.find('}', at_);
    if (end == std::string_view::npos) return;
    out += in_.substr(at_, end + 1 - at_);
    at_ = end + 1;
  }

  // ABCD of \uABCD.
  bool AppendCodeUnit(std::string& out) {
    const std::string_view digits = in_.substr(at_, 4);
    if (digits.size() < 4 ||
        digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
      return false;
    }
    out += Cat("\\x{", digits, "}");
    at_ += 4;
    return true;
  }

  // A class after its '[': a plain one where it can be; unions with other classes, intersections
  // and their complements as alternatives and assertions.
  std::string Class(int depth) {
    constexpr int kDeepest = 16;
    AWQ_CHECK(depth < kDeepest, kCorrupt, "pattern \"", in_, "\": classes nested too deep");
    const bool negated = Peek() == '^';
    if (negated) ++at_;
    std::string intersection;  // assertions of the parts before &&
    std::string members;
    std::string others;  // "|[…]|…"
    bool first = true;
    const auto part = [&] {
      if (others.empty())
        return members.empty() ? std::string("[^\\x{0}-\\x{10ffff}]") : Cat("[", members, "]");
      return Cat("(?:", members.empty() ? others.substr(1) : Cat("[", members, "]", others), ")");
    };
    for (;; first = false) {
      AWQ_CHECK(at_ < in_.size(), kCorrupt, "pattern \"", in_, "\": a class without its end");
      const char c = in_[at_];
      if (c == ']' && !first) {
        ++at_;
        break;
      }
      if (c == '[' && Peek(1) == ':') {
        const size_t end = in_.find(":]", at_);
        if (end != std::string_view::npos) {
          members += in_.substr(at_, end + 2 - at_);
          at_ = end + 2;
          continue;
        }
      }
      if (c == '[') {
        ++at_;
        others += "|" + Class(depth + 1);
      } else if (c == '&' && Peek(1) == '&') {
        at_ += 2;
        intersection += Cat("(?=", part(), ")");
        members.clear();
        others.clear();
      } else if (c == '\\' && at_ + 1 < in_.size()) {
        ClassEscape(members, others);
      } else {
        ++at_;
        members += c;
      }
    }
    if (intersection.empty() && others.empty()) return Cat(negated ? "[^" : "[", members, "]");
    const std::string whole = intersection + part();
    return negated ? Cat("(?:(?!", whole, ")[\\x{0}-\\x{10ffff}])") : Cat("(?:", whole, ")");
  }

  void ClassEscape(std::string& members, std::string& others) {
    const char c = Peek(1);
    at_ += 2;
    switch (c) {
      case 's':
        members += kSpaces;
        return;
      case 'S':
        members += kNoSpaces;
        return;
      case 'w':
        members += words_;
        return;
      case 'W':
        others += Cat("|[^", words_, "]");
        return;
      case 'd':
        members += Property("Nd");
        return;
      case 'D':
        others += Cat("|[^", Property("Nd"), "]");
        return;
      case 'h':
        members += kHex;
        return;
      case 'H':
        others += Cat("|[^", kHex, "]");
        return;
      case 'u':
        if (AppendCodeUnit(members)) return;
        break;
      default:
        break;
    }
    if (c == 'p' || c == 'P') {
      if (const auto name = PropertyName()) {
        if (c == 'p') {
          members += Property(*name);
        } else {
          others += Cat("|[^", Property(*name), "]");
        }
        return;
      }
    }
    members += {'\\', c};
    if (c == 'p' || c == 'P' || c == 'x') CopyBraces(members);
  }

  std::string_view in_;
  bool newest_;
  std::string words_;
  size_t at_ = 0;
  std::string out_;
  size_t atom_ = 0;             // where the last atom begins in out_
  bool interval_ = false;       // an interval has just been written
  std::vector<size_t> groups_;  // where the open ones begin
};

}  // namespace

std::string TranslateRegex(std::string_view pattern, bool newest) {
  return Translator(pattern, newest).Run();
}

bool HasNewestCharacters(std::string_view text) {
  // By the upper bits of the code: whether anything has been added there.
  static const std::vector<bool> blocks_with_additions = [] {
    std::vector<bool> blocks(0x1100);
    for (const PropertyRange& r : kAddedThere) {
      for (char32_t c = r.first >> 8; c <= r.last >> 8; ++c) blocks[c] = true;
    }
    return blocks;
  }();
  for (size_t i = 0; i < text.size();) {
    if ((text[i] & 0x80) == 0) {
      ++i;
      continue;
    }
    const Utf8Char c = DecodeUtf8(text.substr(i));
    i += c.length;
    if (!blocks_with_additions[c.code >> 8]) continue;
    for (const PropertyRange& r : kAddedThere) {
      if (c.code >= r.first && c.code <= r.last) return true;
    }
  }
  return false;
}

}  // namespace awq
