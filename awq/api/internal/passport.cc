#include "awq/api/internal/passport.h"

#include <cmath>
#include <cstdio>
#include <map>

#include "awq/api/internal/quality_page.h"
#include "awq/api/version.h"
#include "awq/base/file.h"
#include "awq/checkpoint/manifest.h"
#include "awq/checkpoint/metadata.h"
#include "awq/checkpoint/safetensors.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

constexpr int kVersion = 1;

std::string Text(const RawJson& json, int indent = -1) {
  return json.dump(indent, ' ', false, RawJson::error_handler_t::replace);
}

std::string Format(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

RawJson ToJson(const ModelQuality& q) {
  return {{"perplexity", FiniteOrNull(q.perplexity)},
          {"kld_mean", q.divergence.mean},
          {"kld_mean_standard_error", q.mean_error},
          {"kld_median", q.divergence.median},
          {"kld_p99", q.divergence.p99},
          {"kld_p999", q.divergence.p999},
          {"top1", q.divergence.top1},
          {"kld_histogram", q.histogram}};
}

RawJson ToJson(const WorstToken& w) {
  const auto guess = [](const TokenGuess& g) {
    return RawJson{{"text", g.text}, {"probability", g.probability}};
  };
  return {{"position", w.position},
          {"kld", w.divergence},
          {"before", w.before},
          {"token", w.token},
          {"source_probability", w.source_probability},
          {"quantized_probability", w.model_probability},
          {"source_top", guess(w.source)},
          {"quantized_top", guess(w.model)}};
}

std::vector<fs::path> Shards(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".safetensors") out.push_back(entry.path());
  }
  return out;
}

void WriteText(const fs::path& file, std::string_view text) {
  FileWriter out(file);
  out.Write(text);
  out.Close();
}

}  // namespace

RawJson ToJson(const QualityReport& r) {
  RawJson out = {{"text",
                  {{"name", r.text},
                   {"sha256", r.text_sha256},
                   {"window", r.window},
                   {"bos", r.bos},
                   {"windows", r.windows},
                   {"tokens", r.tokens}}},
                 {"source", {{"perplexity", FiniteOrNull(r.source_perplexity)}}},
                 {"quantized", ToJson(r.quantized)},
                 {"rtn", ToJson(r.rounded)}};
  for (const LayerQuality& l : r.layers) {
    out["layers"].push_back(
        {{"error", FiniteOrNull(l.error)}, {"error_rtn", FiniteOrNull(l.error_rounded)}});
  }
  for (const BitsShare& b : r.bits) {
    out["bits"].push_back({{"what", b.what}, {"parameters", b.parameters}, {"bytes", b.bytes}});
  }
  out["worst_tokens"] = RawJson::array();
  for (const WorstToken& w : r.worst) out["worst_tokens"].push_back(ToJson(w));
  return out;
}

RawJson ToJson(const std::vector<QuantizeEvent>& linears) {
  RawJson out = RawJson::array();
  for (const QuantizeEvent& e : linears) {
    out.push_back({{"layer", e.layer},
                   {"linear", e.linear},
                   {"error_rtn", FiniteOrNull(e.error_before)},
                   {"error", FiniteOrNull(e.error_after)},
                   {"alpha", e.alpha},
                   {"clipped", FiniteOrNull(e.clipped)}});
  }
  return out;
}

std::string PassportDigest(const RawJson& results) {
  const RawJson& q = results.at("quantized");
  const auto number = [](const RawJson& value) {
    return value.is_number() ? Format("%.6g", value.get<double>()) : std::string("nan");
  };
  return Cat("kld_mean=", number(q.at("kld_mean")), " kld_p99=", number(q.at("kld_p99")),
             " top1=", number(q.at("top1")), " perplexity=", number(q.at("perplexity")),
             " source_perplexity=", number(results.at("source").at("perplexity")),
             " rtn_kld_mean=", number(results.at("rtn").at("kld_mean")),
             " tokens=", results.at("text").at("tokens").get<int64_t>(),
             " results_sha256=", Sha256OfText(Text(results)));
}

RawJson MakePassport(const PassportParts& parts) {
  RawJson out = {{"quality_passport", kVersion},
                 {"tool", Cat("awq.cpp ", Version())},
                 {"model", parts.report.source},
                 {"options", parts.options},
                 {"results", ToJson(parts.report)}};
  if (!parts.linears.empty()) out["linears"] = ToJson(parts.linears);
  out["source"] = parts.source;
  return out;
}

void WritePassport(const fs::path& folder, const PassportParts& parts) {
  RawJson passport = MakePassport(parts);
  const std::string digest = PassportDigest(passport.at("results"));
  passport["digest"] = digest;
  passport["output"] = RawJson::object();
  std::map<std::string, std::string> hashes;
  for (const fs::path& shard : Shards(folder)) {
    FillMetadata(shard, kDigestKey, digest);
    hashes[shard.filename().string()] = Sha256(shard);
  }
  passport["output"] = hashes;
  WriteText(folder / kPassportName, Text(passport, 1) + "\n");
  WriteText(folder / kPassportPage, QualityPage(passport));
}

std::vector<std::string> CheckPassport(const fs::path& folder) {
  const fs::path file = folder / kPassportName;
  if (!fs::exists(file)) return {};
  std::vector<std::string> wrong;
  const Json passport = Json::Load(file);
  const std::string digest = passport.String("digest");
  std::string expected;
  try {
    expected = PassportDigest(passport.At("results").raw());
  } catch (const RawJson::exception& e) {
    return {Cat(kPassportName, ": is no quality passport: ", e.what())};
  }
  if (digest != expected) {
    wrong.push_back(Cat(kPassportName, ": its results have changed: expected the digest \"",
                        expected, "\", found \"", digest, "\""));
  }
  const Json output = passport.At("output");
  for (const fs::path& shard : Shards(folder)) {
    const std::string name = shard.filename().string();
    const auto opened = SafetensorsFile::Open(shard);
    const auto& metadata = opened->Metadata();
    const auto found = metadata.find(std::string(kDigestKey));
    if (found == metadata.end() || found->second != digest) {
      wrong.push_back(Cat(name, ": expected the digest of ", kPassportName,
                          " in its header, found ",
                          found == metadata.end() ? "none" : "\"" + found->second + "\""));
    }
    const std::string hash = output.String(name, "");
    if (const std::string now = Sha256(shard); hash != now) {
      wrong.push_back(Cat(name, ": expected SHA-256 ", hash.empty() ? "in " : hash + " by ",
                          kPassportName, ", found ", now));
    }
  }
  return wrong;
}

std::vector<std::string> ComparePassport(const RawJson& passport, const QualityReport& measured) {
  constexpr double kTolerance = 0.02;  // other instructions sum in another order
  std::vector<std::string> wrong;
  const RawJson now = ToJson(measured);
  const RawJson& then = passport.at("results");  // CheckPassport has read it
  const auto compare = [&](const char* part, const char* name) {
    const RawJson& a = then.at(part).at(name);
    const RawJson& b = now.at(part).at(name);
    const double x = a.is_number() ? a.get<double>() : std::nan("");
    const double y = b.is_number() ? b.get<double>() : std::nan("");
    if (!(std::abs(x - y) <= kTolerance * std::abs(x) + 1e-6)) {
      wrong.push_back(
          Cat(kPassportName, ": results.", part, ".", name, ": expected ", x, ", measured ", y));
    }
  };
  if (then.at("text").at("sha256") != now.at("text").at("sha256")) {
    return {Cat(kPassportName, ": was measured on another text, ",
                then.at("text").at("name").get<std::string>(), " of SHA-256 ",
                then.at("text").at("sha256").get<std::string>())};
  }
  compare("source", "perplexity");
  for (const char* part : {"quantized", "rtn"}) {
    for (const char* name : {"perplexity", "kld_mean", "kld_median", "top1"}) compare(part, name);
  }
  return wrong;
}

void WriteQualityPage(const QualityReport& report, const fs::path& file) {
  WriteFileAtomically(file, QualityPage(MakePassport({report, {}, {}, {}})));
}

}  // namespace awq
