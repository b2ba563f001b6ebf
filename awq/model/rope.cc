#include "awq/model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "awq/base/error.h"

namespace awq {
namespace {

// base^(2i / rotary) for i in [0, rotary / 2), in f32 as the reference computes it.
std::vector<float> Wavelengths(double base, int64_t rotary) {
  std::vector<float> out(static_cast<size_t>(rotary / 2));
  for (size_t i = 0; i < out.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotary);
    out[i] = static_cast<float>(std::pow(base, static_cast<double>(exponent)));
  }
  return out;
}

std::vector<float> Plain(double base, int64_t rotary) {
  std::vector<float> out = Wavelengths(base, rotary);
  for (float& f : out) f = 1.0f / f;
  return out;
}

// The (fractional) frequency index that turns `rotations` times within the original context.
double YarnIndex(double rotations, const RopeSpec& rope, int64_t context) {
  return static_cast<double>(rope.rotary) *
         std::log(static_cast<double>(context) / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.theta));
}

std::vector<float> Yarn(const RopeSpec& rope, const YarnScaling& s) {
  double low = YarnIndex(s.beta_fast, rope, s.original_context);
  double high = YarnIndex(s.beta_slow, rope, s.original_context);
  if (s.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rope.rotary - 1));
  if (low == high) high += 0.001;
  std::vector<float> out = Wavelengths(rope.theta, rope.rotary);
  for (size_t i = 0; i < out.size(); ++i) {
    const float ramp =
        static_cast<float>(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
    const float extrapolated = 1.0f / out[i];
    const float interpolated = 1.0f / (static_cast<float>(s.factor) * out[i]);
    out[i] = interpolated * ramp + extrapolated * (1.0f - ramp);
  }
  return out;
}

std::vector<float> LongRope(const RopeSpec& rope, const LongRopeScaling& s, int64_t length) {
  const std::vector<double>& factors = length > s.original_context ? s.long_factor : s.short_factor;
  std::vector<float> out = Wavelengths(rope.theta, rope.rotary);
  for (size_t i = 0; i < out.size(); ++i) out[i] = 1.0f / (static_cast<float>(factors[i]) * out[i]);
  return out;
}

std::vector<float> Llama3(const RopeSpec& rope, const Llama3Scaling& s) {
  const auto context = static_cast<double>(s.original_context);
  std::vector<float> out = Plain(rope.theta, rope.rotary);
  for (float& f : out) {
    const double wavelength = 2 * std::numbers::pi / static_cast<double>(f);
    if (wavelength > context / s.low_freq_factor) {
      f = static_cast<float>(f / s.factor);
    } else if (wavelength >= context / s.high_freq_factor) {
      const double smooth =
          (context / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
      f = static_cast<float>((1 - smooth) * f / s.factor + smooth * f);
    }
  }
  return out;
}

std::vector<double> ReadFactors(const Json& scaling, std::string_view key, int64_t rotary) {
  std::vector<double> out;
  for (const Json& f : scaling.At(key).AsArray()) out.push_back(f.AsDouble());
  AWQ_CHECK(static_cast<int64_t>(out.size()) == rotary / 2, kCorrupt, scaling.At(key).Where(),
            ": expected ", rotary / 2, " factors (half of ", rotary, " rotating elements), found ",
            out.size());
  return out;
}

double YarnMagnitude(const Json& scaling, double factor) {
  if (scaling.Has("attention_factor")) return scaling.Double("attention_factor");
  const auto grow = [](double scale, double by) {
    return scale <= 1 ? 1.0 : 0.1 * by * std::log(scale) + 1.0;
  };
  const double m = scaling.Double("mscale", 0);
  const double all = scaling.Double("mscale_all_dim", 0);
  return m != 0 && all != 0 ? grow(factor, m) / grow(factor, all) : grow(factor, 1);
}

YarnScaling ReadYarn(const Json& scaling, int64_t trained) {
  YarnScaling s;
  s.original_context = scaling.Int("original_max_position_embeddings", trained);
  AWQ_CHECK(s.original_context > 0, kCorrupt, scaling.Where(),
            ": original_max_position_embeddings must be positive");
  s.factor = scaling.Double("factor",
                            static_cast<double>(trained) / static_cast<double>(s.original_context));
  s.beta_fast = scaling.Double("beta_fast", 32);
  s.beta_slow = scaling.Double("beta_slow", 1);
  s.truncate = scaling.Bool("truncate", true);
  s.magnitude = YarnMagnitude(scaling, s.factor);
  return s;
}

LongRopeScaling ReadLongRope(const Json& config, const Json& scaling, const RopeSpec& rope) {
  LongRopeScaling s;
  s.short_factor = ReadFactors(scaling, "short_factor", rope.rotary);
  s.long_factor = ReadFactors(scaling, "long_factor", rope.rotary);
  s.original_context =
      scaling.Int("original_max_position_embeddings",
                  config.Int("original_max_position_embeddings", rope.trained_context));
  AWQ_CHECK(s.original_context > 1, kCorrupt, scaling.Where(),
            ": original_max_position_embeddings must be above 1");
  // A context stated beside the scaling wins over its factor, as in the checkpoints that have both.
  const double ratio =
      static_cast<double>(rope.trained_context) / static_cast<double>(s.original_context);
  const double factor =
      config.Has("original_max_position_embeddings") ? ratio : scaling.Double("factor", ratio);
  s.magnitude =
      factor <= 1
          ? 1.0
          : std::sqrt(1 + std::log(factor) / std::log(static_cast<double>(s.original_context)));
  s.magnitude = scaling.Double("attention_factor", s.magnitude);
  return s;
}

Llama3Scaling ReadLlama3(const Json& scaling, int64_t trained) {
  Llama3Scaling s;
  s.factor = scaling.Double("factor");
  s.low_freq_factor = scaling.Double("low_freq_factor", 1);
  s.high_freq_factor = scaling.Double("high_freq_factor", 4);
  s.original_context = scaling.Int("original_max_position_embeddings", trained);
  AWQ_CHECK(s.low_freq_factor > 0 && s.high_freq_factor > s.low_freq_factor, kCorrupt,
            scaling.Where(), ": expected 0 < low_freq_factor < high_freq_factor, found ",
            s.low_freq_factor, " and ", s.high_freq_factor);
  return s;
}

RopeScaling ReadScaling(const Json& config, const Json& scaling, const RopeSpec& rope) {
  const std::string type =
      scaling.String("rope_type", scaling.String("type", std::string("default")));
  const auto factor = [&] {
    const double f = scaling.Double("factor");
    AWQ_CHECK(f >= 1 && std::isfinite(f), kCorrupt, scaling.Where(),
              ".factor: expected at least 1, found ", f);
    return f;
  };
  if (type == "default" || type == "mrope") return NoScaling{};
  if (type == "linear") return LinearScaling{factor()};
  if (type == "dynamic") return DynamicScaling{factor()};
  // Early Phi-3 files call LongRoPE "yarn" and "su".
  if (type == "yarn" && scaling.Has("short_factor")) return ReadLongRope(config, scaling, rope);
  if (type == "yarn") return ReadYarn(scaling, rope.trained_context);
  if (type == "longrope" || type == "su") return ReadLongRope(config, scaling, rope);
  if (type == "llama3") return ReadLlama3(scaling, rope.trained_context);
  Fail(ErrorCode::kUnsupported, scaling.Where(), ": rope_type \"", type,
       "\"; supported: default, linear, dynamic, yarn, longrope, llama3");
}

}  // namespace

bool RopeSpec::DependsOnLength() const {
  return std::holds_alternative<DynamicScaling>(scaling) ||
         std::holds_alternative<LongRopeScaling>(scaling);
}

float RopeSpec::Magnitude() const {
  if (const auto* yarn = std::get_if<YarnScaling>(&scaling)) {
    return static_cast<float>(yarn->magnitude);
  }
  if (const auto* lr = std::get_if<LongRopeScaling>(&scaling)) {
    return static_cast<float>(lr->magnitude);
  }
  return 1.0f;
}

std::vector<float> InverseFrequencies(const RopeSpec& rope, int64_t length) {
  if (const auto* s = std::get_if<LinearScaling>(&rope.scaling)) {
    std::vector<float> out = Plain(rope.theta, rope.rotary);
    for (float& f : out) f /= static_cast<float>(s->factor);
    return out;
  }
  if (const auto* s = std::get_if<DynamicScaling>(&rope.scaling)) {
    const auto trained = static_cast<double>(rope.trained_context);
    const double reach = std::max(static_cast<double>(length), trained);
    const auto d = static_cast<double>(rope.rotary);
    const double stretch = s->factor * reach / trained - (s->factor - 1);
    return Plain(rope.theta * std::pow(stretch, d / (d - 2)), rope.rotary);
  }
  if (const auto* s = std::get_if<YarnScaling>(&rope.scaling)) return Yarn(rope, *s);
  if (const auto* s = std::get_if<LongRopeScaling>(&rope.scaling))
    return LongRope(rope, *s, length);
  if (const auto* s = std::get_if<Llama3Scaling>(&rope.scaling)) return Llama3(rope, *s);
  return Plain(rope.theta, rope.rotary);
}

RopeSpec ReadRope(const Json& config, int64_t head_size) {
  RopeSpec rope;
  const std::optional<Json> parameters = config.Find("rope_parameters");
  const std::optional<Json> scaling = parameters ? parameters : config.Find("rope_scaling");
  const Json& theta_home = parameters && parameters->Has("rope_theta") ? *parameters : config;
  rope.theta = theta_home.Double("rope_theta", 10000.0);
  AWQ_CHECK(rope.theta > 1 && std::isfinite(rope.theta), kCorrupt, theta_home.Where(),
            ": rope_theta: expected above 1, found ", rope.theta);
  const Json& partial_home =
      parameters && parameters->Has("partial_rotary_factor") ? *parameters : config;
  const double partial = partial_home.Double("partial_rotary_factor", 1.0);
  AWQ_CHECK(partial >= 0 && partial <= 1, kCorrupt, partial_home.Where(),
            ": partial_rotary_factor: expected 0 … 1, found ", partial);
  rope.rotary = static_cast<int64_t>(static_cast<double>(head_size) * partial);
  AWQ_CHECK(rope.rotary >= 0 && rope.rotary % 2 == 0 && rope.rotary <= head_size, kCorrupt,
            config.Where(), ": ", rope.rotary, " of ", head_size,
            " head elements rotate; expected an even number up to the head size");
  rope.trained_context = config.Int("max_position_embeddings", 2048);
  AWQ_CHECK(rope.trained_context > 0, kCorrupt, config.Where(),
            ": max_position_embeddings must be positive");
  if (scaling) rope.scaling = ReadScaling(config, *scaling, rope);
  return rope;
}

}  // namespace awq
