#include "awq/pack/format/module_match.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <string>

#include "awq/base/error.h"

namespace awq {
namespace {

struct Pcre2Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};
template <typename T>
using Pcre2Ptr = std::unique_ptr<T, Pcre2Free>;

PCRE2_SPTR Units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

// Python's re.match: anchored at the start alone.
bool MatchesFromStart(const Json& list, std::string_view pattern, std::string_view text) {
  // Bounds what a hostile pattern can cost; honest ones take a few hundred steps.
  constexpr uint32_t kMatchLimit = 1'000'000;
  const auto bad = [&](int error) {
    char reason[160] = "";
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(reason), sizeof reason);
    Fail(ErrorCode::kCorrupt, list.Where(), ": bad pattern \"", pattern, "\": ", reason);
  };
  int error = 0;
  size_t offset = 0;
  const Pcre2Ptr<pcre2_code> code(
      pcre2_compile(Units(pattern), pattern.size(), PCRE2_ANCHORED, &error, &offset, nullptr));
  if (code == nullptr) bad(error);
  const Pcre2Ptr<pcre2_match_data> data(pcre2_match_data_create(1, nullptr));
  const Pcre2Ptr<pcre2_match_context> context(pcre2_match_context_create(nullptr));
  AWQ_CHECK(data != nullptr && context != nullptr, kOutOfMemory, "cannot match a pattern");
  pcre2_set_match_limit(context.get(), kMatchLimit);
  const int found =
      pcre2_match(code.get(), Units(text), text.size(), 0, 0, data.get(), context.get());
  if (found < 0 && found != PCRE2_ERROR_NOMATCH) bad(found);
  return found >= 0;
}

}  // namespace

bool SelectsLinear(const Json& list, std::string_view linear) {
  const RawJson& entries = list.raw();
  AWQ_CHECK(entries.is_array(), kCorrupt, list.Where(), ": expected an array of module names");
  for (const RawJson& entry : entries) {
    AWQ_CHECK(entry.is_string(), kCorrupt, list.Where(), ": expected an array of module names");
    const std::string_view text = entry.get_ref<const std::string&>();
    if (text == "Linear" || text == linear) return true;
    if (text.starts_with("re:") && MatchesFromStart(list, text.substr(3), linear)) return true;
  }
  return false;
}

}  // namespace awq
