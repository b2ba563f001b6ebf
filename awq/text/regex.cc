#include "awq/text/regex.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "awq/base/clock.h"
#include "awq/base/error.h"

namespace awq {
namespace {

constexpr uint32_t kMatchLimit = 50'000'000;  // steps of one match from one start
constexpr uint32_t kHeapLimitKib = 256 * 1024;
// A search looks at so many starts before it looks at the clock.
constexpr size_t kStartsAtOnce = 4096;
constexpr auto kTimePerText = std::chrono::seconds(10);
constexpr auto kTimePerMegabyte = std::chrono::seconds(1);

// Frees through the given function.
template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
using CompileContext = std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;

size_t NextCharacter(std::string_view text, size_t at) {
  do {
    ++at;
  } while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80);
  return at;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>> code;
};

Regex::Regex(std::string_view pattern) : pattern_(pattern) {
  constexpr size_t kLongest = 100'000;
  AWQ_CHECK(pattern.size() < kLongest, kCorrupt, "a pattern of ", pattern.size(), " bytes");
  const std::string plain = TranslateRegex(pattern, false);
  const std::string newest = TranslateRegex(pattern, true);
  code_ = Compile(plain);
  newest_ = plain == newest ? code_ : Compile(newest);
}

std::shared_ptr<const Regex::Code> Regex::Compile(const std::string& translated) const {
  constexpr uint32_t kNesting = 100;
  const CompileContext context(pcre2_compile_context_create(nullptr));
  AWQ_CHECK(context, kOutOfMemory, "cannot allocate a regex");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), kNesting);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto code = std::make_shared<Code>();
  code->code.reset(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT,
      &error, &offset, context.get()));
  if (!code->code) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof message);
    Fail(ErrorCode::kCorrupt, "pattern \"", pattern_,
         "\": ", reinterpret_cast<const char*>(message), " near byte ", offset);
  }
  // Without it matching is slower, not different.
  pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

void Regex::Each(std::string_view text, const std::function<void(size_t, size_t)>& match) const {
  const bool plain = code_ == newest_ || !HasNewestCharacters(text);
  const pcre2_code* code = (plain ? code_ : newest_)->code.get();
  const MatchData data(pcre2_match_data_create_from_pattern(code, nullptr));
  const MatchContext context(pcre2_match_context_create(nullptr));
  AWQ_CHECK(data && context, kOutOfMemory, "cannot allocate a regex match");
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  const auto limit = kTimePerText + kTimePerMegabyte * (text.size() >> 20);
  std::optional<Clock::time_point> begun;  // when the clock was first looked at
  const auto check_time = [&] {
    const auto now = Clock::now();
    if (!begun) begun = now;
    AWQ_CHECK(now - *begun < limit, kUnsupported, "pattern \"", pattern_,
              "\" takes too long on a text of ", text.size(), " bytes");
  };

  size_t at = 0;
  size_t last = std::string_view::npos;  // where the match before ended
  for (size_t searches = 1; at <= text.size(); ++searches) {
    if (searches % kStartsAtOnce == 0) check_time();
    const size_t until = text.size() - at > kStartsAtOnce ? at + kStartsAtOnce : text.size();
    pcre2_set_offset_limit(context.get(), until);
    const auto search = [&](uint32_t options) {
      return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                         PCRE2_NO_UTF_CHECK | options, data.get(), context.get());
    };
    int found = search(0);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = search(PCRE2_NO_JIT);
    if (found == PCRE2_ERROR_NOMATCH) {
      if (until == text.size()) return;
      check_time();
      at = until;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
      continue;
    }
    AWQ_CHECK(found >= 0, kUnsupported, "pattern \"", pattern_, "\" needs too many steps at byte ",
              at, " of ", text.size(), " (PCRE2 error ", found, ")");
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data.get());
    if (span[1] <= span[0] && span[1] == last) {
      at = NextCharacter(text, at);
      continue;
    }
    const size_t begin = std::min(span[0], span[1]);  // \K can put the begin behind the end
    at = last = span[1];
    match(begin, at);
  }
}

std::string EscapeRegex(std::string_view literal) {
  std::string out;
  for (char c : literal) {
    const bool plain = (c & 0x80) != 0 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                       (c >= 'A' && c <= 'Z') || c == '_' || c == ' ';
    if (!plain) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace awq
