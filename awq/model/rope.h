// Rotary position embedding: its settings and the frequencies they give.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "awq/base/json.h"

namespace awq {

// How frequencies are stretched beyond the trained context. Names and formulas as in Transformers.
struct NoScaling {};
struct LinearScaling {
  double factor = 1;
};
// NTK-aware: the base grows with the sequence once it exceeds the trained context.
struct DynamicScaling {
  double factor = 1;
};
// YaRN, arXiv:2309.00071.
struct YarnScaling {
  double factor = 1;
  double beta_fast = 32;
  double beta_slow = 1;
  bool truncate = true;
  double magnitude = 1;  // applied to cos and sin
  int64_t original_context = 0;
};
// LongRoPE, arXiv:2402.13753: one factor per frequency, another list beyond the original context.
struct LongRopeScaling {
  std::vector<double> short_factor;
  std::vector<double> long_factor;
  double magnitude = 1;
  int64_t original_context = 0;
};
struct Llama3Scaling {
  double factor = 1;
  double low_freq_factor = 1;
  double high_freq_factor = 4;
  int64_t original_context = 0;
};
using RopeScaling = std::variant<NoScaling, LinearScaling, DynamicScaling, YarnScaling,
                                 LongRopeScaling, Llama3Scaling>;

struct RopeSpec {
  double theta = 10000;
  int64_t rotary = 0;  // elements of a head that rotate; 0: none, nothing is rotated
  bool interleaved = false;
  int64_t trained_context = 0;  // max_position_embeddings
  RopeScaling scaling;

  // Whether the frequencies depend on the length of the sequence.
  bool DependsOnLength() const;
  // Factor on cos and sin.
  float Magnitude() const;
};

// F32 values [rotary / 2], rounded as Transformers rounds them; `length` is the longest sequence of
// the step in tokens.
std::vector<float> InverseFrequencies(const RopeSpec& rope, int64_t length);

// From config.json: rope_theta and rope_scaling, or rope_parameters of newer files. Throws
// kUnsupported for an unknown type (listing the known ones), kCorrupt for values that cannot be.
RopeSpec ReadRope(const Json& config, int64_t head_size);

}  // namespace awq
