// Activations, alone and as the last step of a product whose outputs are pairs of gate and up, and
// that step of other products.
#pragma once

#include "awq/backend/cuda/numeric.cuh"
#include "awq/ops/args.h"

namespace awq::cuda {

__device__ inline float Activated(Activation kind, float x) {
  switch (kind) {
    case Activation::kSilu:
      return x / (1.0f + expf(-x));
    case Activation::kGelu:
      return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case Activation::kGeluTanh:
      return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case Activation::kRelu:
      return fmaxf(x, 0.0f);
  }
  return x;
}

// The same of SiLU and tanh-GELU in a few instructions, for outputs of 16 bits: x times the sigmoid
// of x (first + third x²), since (1 + tanh(u)) / 2 is the sigmoid of 2u.
__device__ inline bool IsSigmoid(Activation kind) {
  return kind == Activation::kSilu || kind == Activation::kGeluTanh;
}
struct SigmoidTerms {
  float first, third;  // times -log2(e)
  __device__ explicit SigmoidTerms(Activation kind)
      : first(kind == Activation::kSilu ? -1.4426950408889634f : -2.3022082032f),
        third(kind == Activation::kSilu ? 0.0f : -0.1029432398f) {}
  __device__ float operator()(float x) const {
    constexpr float kLargest = 3.4e38f;  // since 0 times infinity is no number
    return __fdividef(x, 1.0f + Exp2(x * fmaf(fminf(x * x, kLargest), third, first)));
  }
};
__device__ inline float FastActivated(Activation kind, float x) {
  return IsSigmoid(kind) ? SigmoidTerms(kind)(x) : Activated(kind, x);
}

// y[m, n] of a product without a gate, for the sum of output n.
template <typename T, typename A>
__device__ inline void StorePlain(const A& a, int m, int n, float sum, float scale) {
  const float y = sum * scale + (a.bias == nullptr ? 0.0f : a.bias[n]);
  const int64_t at = m * a.y_stride + n;
  if (a.y_f32) {
    static_cast<float*>(a.y)[at] = y;
  } else {
    static_cast<T*>(a.y)[at] = static_cast<T>(y);
  }
}

// What StoreGated asks for.
struct GatedOutput {
  void* y;
  int64_t y_stride;
  int n, gate;
  float scale;
  const float* bias = nullptr;
};

// What a gated product stores for a gate and its up. Both are rounded to T first, as if they had
// been stored.
template <typename T, typename F>
__device__ inline T Gated(float gate, float up, F&& activate) {
  gate = ToFloat(FromFloat<T>(gate));
  up = ToFloat(FromFloat<T>(up));
  return FromFloat<T>(activate(gate) * up);
}

template <typename T>
__device__ inline T FastGated(int kind, float gate, float up) {
  return Gated<T>(gate, up,
                  [&](float x) { return FastActivated(static_cast<Activation>(kind), x); });
}

// For the sums of outputs n and n + 1 of the weight, n even.
template <typename T, typename A>
__device__ inline void StoreGated(const A& a, int m, int n, float gate, float up) {
  gate = gate * a.scale + (a.bias == nullptr ? 0.0f : a.bias[n / 2]);
  up = up * a.scale + (a.bias == nullptr ? 0.0f : a.bias[a.n / 2 + n / 2]);
  static_cast<T*>(a.y)[m * a.y_stride + n / 2] = FastGated<T>(a.gate, gate, up);
}

}  // namespace awq::cuda
