// Passport: internal to api; quality.json and quality.html of a checkpoint, and the digest of them
// in its safetensors headers.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "awq/api/quality.h"
#include "awq/api/quantize.h"
#include "awq/base/json.h"

namespace awq {

inline constexpr std::string_view kPassportName = "quality.json";
inline constexpr std::string_view kPassportPage = "quality.html";
// The key of the digest, and the room that a writer leaves for it.
inline constexpr std::string_view kDigestKey = "awq_quality";
inline constexpr size_t kDigestBytes = 384;

// The measured numbers, as quality.json's "results". Nothing in it depends on the clock.
RawJson ToJson(const QualityReport& report);
// The errors of the linears by plain rounding and as written, as quality.json's "linears".
RawJson ToJson(const std::vector<QuantizeEvent>& linears);

// "kld_mean=… … results_sha256=…" of quality.json's "results".
std::string PassportDigest(const RawJson& results);

struct PassportParts {
  const QualityReport& report;
  RawJson options;                     // of quantization; null if unknown
  std::vector<QuantizeEvent> linears;  // empty if unknown
  RawJson source;                      // file → SHA-256; null if unknown
};
// The whole document, without "output", the hashes of the checkpoint's files.
RawJson MakePassport(const PassportParts& parts);

// Puts the digest into the shards of `folder`, hashes them, writes both files.
void WritePassport(const std::filesystem::path& folder, const PassportParts& parts);

// What is wrong with a checkpoint's passport, a sentence each: hashes, and the digest in its
// headers. Empty as well when it has none.
std::vector<std::string> CheckPassport(const std::filesystem::path& folder);
// Where a new measurement differs from the passport by more than the order of sums explains.
std::vector<std::string> ComparePassport(const RawJson& passport, const QualityReport& measured);

}  // namespace awq
