#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "awq/base/error.h"
#include "awq/text/normalizer/normalizers.h"
#include "awq/text/unicode.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

utf8proc_option_t OptionsOf(NormalForm form) {
  int options = UTF8PROC_STABLE;
  switch (form) {
    case NormalForm::kNfc:
      options |= UTF8PROC_COMPOSE;
      break;
    case NormalForm::kNfd:
      options |= UTF8PROC_DECOMPOSE;
      break;
    case NormalForm::kNfkc:
      options |= UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
      break;
    case NormalForm::kNfkd:
      options |= UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
      break;
  }
  return static_cast<utf8proc_option_t>(options);
}

void Append(std::string_view text, NormalForm form, std::string& out) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped, OptionsOf(form));
  AWQ_CHECK(size >= 0, kInternal, "Unicode normalization failed: ", utf8proc_errmsg(size));
  out.append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
  std::free(mapped);
}

class UnicodeForm : public Normalizer {
 public:
  explicit UnicodeForm(NormalForm form) : form_(form) {}

  // Only runs of characters that can change are handed to utf8proc: most text cannot.
  void Apply(NormalText& text) const override {
    const std::string_view in = text.text;
    std::string out;
    size_t kept = 0;  // everything before is in `out`
    size_t safe = 0;  // begin of the last inert character: what follows may combine with it
    size_t head = text.head;
    for (size_t at = 0; at < in.size();) {
      const Utf8Char c = DecodeUtf8(in.substr(at));
      if (IsInert(c.code)) {
        safe = at;
        at += c.length;
        continue;
      }
      const size_t begin = std::max(safe, kept);
      size_t end = at + c.length;
      while (end < in.size()) {
        const Utf8Char next = DecodeUtf8(in.substr(end));
        if (IsInert(next.code)) break;
        end += next.length;
      }
      out.append(in.substr(kept, begin - kept));
      const size_t mapped = out.size();
      AppendRun(in.substr(begin, end - begin), out);
      if (text.head >= end)
        head = out.size() + text.head - end;
      else if (text.head > begin)
        head = Head(in.substr(begin, text.head - begin), out, mapped);
      kept = safe = at = end;
    }
    if (kept == 0) return;
    out.append(in.substr(kept));
    text.text = std::move(out);
    text.head = std::min(head, text.text.size());
  }

 private:
  // A character that stays as it is and that nothing before it combines with.
  bool IsInert(char32_t code) const {
    if (code < 0x80) return true;
    if (form_ != NormalForm::kNfkc && form_ != NormalForm::kNfkd) {
      if (code < 0xc0) return true;
      if (code >= 0x3400 && code < 0xa000) return true;  // ideographs
    } else if (code >= 0x4e00 && code < 0xa000) {
      return true;
    }
    return false;
  }

  void AppendRun(std::string_view run, std::string& out) const {
    // Characters that Hugging Face's older tables leave alone separate what surrounds them. So does
    // U+11A7, which composes with nothing; utf8proc takes it for a trailing consonant and drops it.
    constexpr char32_t kNoTrailingConsonant = 0x11a7;
    size_t begin = 0;
    for (size_t at = 0; at < run.size();) {
      const Utf8Char c = DecodeUtf8(run.substr(at));
      if (IsNormalizedOnlyHere(c.code) || c.code == kNoTrailingConsonant) {
        Append(run.substr(begin, at - begin), form_, out);
        out.append(run.substr(at, c.length));
        begin = at + c.length;
      }
      at += c.length;
    }
    Append(run.substr(begin), form_, out);
  }

  // How much of the output the first character became: the longest common prefix of what it maps
  // to alone and in its place. What it maps to first belongs to it also when that is joined to what
  // follows; the rest does not ("fi" as one character and U+0323: f, but no more the i).
  size_t Head(std::string_view head, const std::string& out, size_t mapped) const {
    std::string alone;
    Append(head, form_, alone);
    std::string before_last;
    Append(head.substr(0, head.size() - LastCharacter(head).size()), form_, before_last);
    const std::string_view rest = std::string_view(out).substr(mapped);
    size_t same = 0;
    while (same < rest.size() && same < alone.size() && rest[same] == alone[same]) ++same;
    while (same > 0 && same < rest.size() && (rest[same] & 0xc0) == 0x80) --same;
    if (same <= before_last.size() && same < alone.size() && same < rest.size())
      same += DecodeUtf8(rest.substr(same)).length;
    return mapped + same;
  }

  NormalForm form_;
};

}  // namespace

std::unique_ptr<const Normalizer> MakeUnicodeForm(NormalForm form) {
  return std::make_unique<UnicodeForm>(form);
}

}  // namespace awq
