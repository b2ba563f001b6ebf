// The parts of a layer that a thread of fused_layers.cuh goes through, but for attention.
#pragma once

#include "awq/backend/cuda/fused_feed.cuh"
#include "awq/backend/cuda/fused_linear.cuh"
#include "awq/backend/cuda/gate.cuh"

namespace awq::cuda {

// Sandwiches have tanh-GELU (Gemma); others take 2 % longer with the code for both.
template <bool kSandwich>
__device__ inline float ActivatedInFused(Activation kind, float x) {
  if (kSandwich) return FastActivated(kind, x);
  if (kind == Activation::kSilu) return __fdividef(x, 1.0f + __expf(-x));
  return Activated(kind, x);
}

// Hands out this block's outputs of a linear.
// chosen: experts whose gate and up it is, or null.
template <int kLinear, bool kSandwich>
__device__ inline void PublishOutputs(const FusedArgs& a, const FusedLayer& layer,
                                      const FusedShare& share, const float* squares,
                                      const float* sums, const FusedExpert* chosen, float* to,
                                      uint32_t tag) {
  const int n = share.count * kTileN;
  const int first = share.first * kTileN;
  float scale = layer.scales[kLinear];
  if (squares != nullptr) {
    const float sum = WarpSum<kFusedWarps>(squares[threadIdx.x % kFusedWarps]);
    scale *= rsqrtf(sum * a.inverse_hidden + a.epsilon);
  }
  const float* bias = layer.biases[kLinear];
  const int of_expert = 2 * a.expert_blocks * kBlockK;  // outputs
  const FusedExpert* expert = kLinear == kFusedGateUp ? chosen : nullptr;
  int end = of_expert;  // of the expert's outputs
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kFusedThreads) {
    float y = FusedSum(sums, i) * scale;
    if (expert != nullptr) {
      for (; first + i >= end; end += of_expert) ++expert;
      y *= expert->gate_up_scale;
    }
    if (kLinear != kFusedGateUp) {
      if (bias != nullptr) y += bias[first + i];
      Publish(to + first + i, y, tag);
      continue;
    }
    if (bias != nullptr) y += bias[(first + i) / 2 + (i % 2 != 0 ? a.ffn : 0)];
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const float up = __shfl_down_sync(i - lane + 32 <= n ? ~0u : 0xffffu, y, 1);
    float h = ActivatedInFused<kSandwich>(static_cast<Activation>(a.activation), y) * up;
    if (expert != nullptr) h *= expert->down_scale;
    if (i % 2 == 0) Publish(to + (first + i) / 2, h, tag);
  }
}

// What a thread of those that compute has all along.
template <int kTurns, FusedKind kKind>
struct FusedThread {
  static constexpr bool kExperts = kKind == FusedKind::kRouted;
  static constexpr bool kSandwich = kKind == FusedKind::kSandwich;
  static_assert(!kExperts || kTurns == 1);
  const FusedArgs& a;
  uint8_t* shared;
  Ring ring;
  FusedPlaces places;
  uint32_t* digits;
  DigitScale<1>* scales;
  float* sums;
  float* parts;
  float residual[kTurns][2][4];

  __device__ FusedThread(const FusedArgs& args, uint8_t* memory)
      : a(args),
        shared(memory),
        ring(args.shared, SharedAddress(memory)),
        places(args, SharedAddress(memory)),
        digits(reinterpret_cast<uint32_t*>(memory + args.shared.digits)),
        scales(reinterpret_cast<DigitScale<1>*>(memory + args.shared.scales)),
        sums(reinterpret_cast<float*>(memory + args.shared.sums)),
        parts(reinterpret_cast<float*>(memory + args.shared.parts)) {}

  // x becomes its norm by weights `post`, of which this thread has some: a sum of all warps.
  __device__ void PostNorm(const float* post, EightInputs (&x)[kTurns]) {
    const int units = a.hidden / kBlockK;
    const int unit = static_cast<int>(threadIdx.x) / 16;
    auto* squares = reinterpret_cast<float*>(shared + a.shared.squares);
    float sum = 0.0f;
#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
#pragma unroll
      for (int i = 0; i < 8; ++i) sum += x[t].v[i / 4][i % 4] * x[t].v[i / 4][i % 4];
    }
    sum = WarpSum(sum);
    if (threadIdx.x % 32 == 0) squares[threadIdx.x / 32] = sum;
    FusedBarrier();
    sum = WarpSum<kFusedWarps>(squares[threadIdx.x % kFusedWarps]);
    const float inverse = rsqrtf(sum * a.inverse_hidden + a.epsilon);
#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
      if (unit + t * kFusedUnits >= units) break;
#pragma unroll
      for (int i = 0; i < 8; ++i) x[t].v[i / 4][i % 4] *= inverse * post[8 * t + i];
    }
  }
  // This thread's of the weights of a norm.
  __device__ void LoadPost(const float* norm, float (&post)[8 * kTurns]) {
    const int unit = static_cast<int>(threadIdx.x) / 16;
#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
      if (unit + t * kFusedUnits >= a.hidden / kBlockK) break;
      const float* from = norm + (unit + t * kFusedUnits) * kBlockK + EightInputs::First();
#pragma unroll
      for (int i = 0; i < 8; ++i) post[8 * t + i] = __ldg(from + i / 4 * 32 + i % 4);
    }
  }

  // residual += from, normed by weights `post` where layers are sandwiches, and the digits of its
  // norm, but for what divides all of it: `squares` of warps. kRoutes: then awaits the choice of
  // experts.
  template <bool kRoutes>
  __device__ void AddNorm(const float* norm, const float* from, const float* post, uint32_t tag,
                          float* squares, const float* next, const FusedRouter& router) {
    const int units = a.hidden / kBlockK;
    const int unit = static_cast<int>(threadIdx.x) / 16;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int at = unit * kBlockK + EightInputs::First();
    float4 weights[kTurns][2];
#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
      if (unit + t * kFusedUnits >= units) break;
      const auto* w = reinterpret_cast<const float4*>(norm + at + t * kFusedUnits * kBlockK);
      weights[t][0] = __ldg(w);
      weights[t][1] = __ldg(w + 8);
    }
    RouterInputs row = {};
    if constexpr (kRoutes) {
      if (unit < units && blockIdx.x < a.experts) row.Load(a, router.rows, blockIdx.x, at);
      CopyExperts(a, router, shared);
    }
    EightInputs x[kTurns] = {};
    if (from != nullptr) AwaitAdded(from, post, tag, x);
    float sum = 0.0f;
#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
      if (unit + t * kFusedUnits >= units) break;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float& r = residual[t][i / 4][i % 4];
        r += x[t].v[i / 4][i % 4];
        sum += r * r;
      }
    }
#pragma unroll
    for (int t = 0; t < kTurns; ++t) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        x[t].v[i][0] = residual[t][i][0] * weights[t][i].x;
        x[t].v[i][1] = residual[t][i][1] * weights[t][i].y;
        x[t].v[i][2] = residual[t][i][2] * weights[t][i].z;
        x[t].v[i][3] = residual[t][i][3] * weights[t][i].w;
      }
    }
    sum = WarpSum(sum);
    if (lane == 0) squares[threadIdx.x / 32] = sum;
    if constexpr (kRoutes) HandOutLogits(router.rows, row, x[0], squares, tag);
    StoreDigits(x, 0, units, digits, scales);
    // What comes next from memory, to L2: the next norm's weights, rows of the router.
    const int line = static_cast<int>(threadIdx.x) * 32;
    if (next != nullptr && line < a.hidden) {
      Prefetch(next + line);
      if (kExperts && !kRoutes) {
        const int bytes = a.router == FusedRouterType::kF32 ? 4 : 2;
        for (int e = blockIdx.x; e < a.experts; e += gridDim.x) {
          Prefetch(static_cast<const uint8_t*>(router.rows) +
                   (int64_t{e} * a.hidden + line) * bytes);
        }
      }
    }
    if constexpr (kRoutes) {
      if (a.experts <= kMaxFusedExperts / 2) {
        AwaitExperts<kMaxFusedExperts / 2>(a, tag, shared);
      } else {
        AwaitExperts<kMaxFusedExperts>(a, tag, shared);
      }
    } else {
      FusedBarrier();
    }
  }
  // What is added to the residual stream.
  __device__ void AwaitAdded(const float* from, const float* post, uint32_t tag,
                             EightInputs (&x)[kTurns]) {
    if constexpr (kSandwich) {
      float weights[8 * kTurns] = {};
      LoadPost(post, weights);
      AwaitInputs(from, tag, 0, a.hidden / kBlockK, x);
      PostNorm(weights, x);
    } else {
      AwaitInputs(from, tag, 0, a.hidden / kBlockK, x);
    }
  }
  // row: what this thread has of the router's row for this block, if there is one.
  __device__ void HandOutLogits(const void* router, RouterInputs& row, const EightInputs& x,
                                const float* squares, uint32_t tag) {
    const int warp = static_cast<int>(threadIdx.x) / 32;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int unit = static_cast<int>(threadIdx.x) / 16;
    const bool has_inputs = unit < a.hidden / kBlockK;
    auto* of_rows = reinterpret_cast<float*>(shared + a.shared.router_sums);
    int i = 0;
#pragma unroll 1
    for (int e = blockIdx.x; e < a.experts; e += gridDim.x, ++i) {
      if (i > 0 && has_inputs) row.Load(a, router, e, unit * kBlockK + EightInputs::First());
      const float dot = WarpSum(has_inputs ? row.Dot(a, x.v) : 0.0f);
      if (lane == 0) of_rows[i * kFusedWarps + warp] = dot;
    }
    AsyncWait<0>();
    FusedBarrier();
    PublishLogit(blockIdx.x + warp * gridDim.x, of_rows + warp * kFusedWarps, squares, tag);
  }
  // One warp: of expert e, if there is one, from what the warps have of it.
  __device__ void PublishLogit(int e, const float* sums, const float* squares, uint32_t tag) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (e >= a.experts) return;
    const float dot = WarpSum<kFusedWarps>(sums[lane % kFusedWarps]);
    const float square = WarpSum<kFusedWarps>(squares[lane % kFusedWarps]);
    if (lane == 0) {
      Publish(a.logits + e, dot * rsqrtf(square * a.inverse_hidden + a.epsilon), tag);
    }
  }
  template <int kAtOnce>
  __device__ void Digits(const float* from, uint32_t tag, int units) {
#pragma unroll 1
    for (int first = 0; first < units; first += kAtOnce * kFusedUnits) {
      EightInputs x[kAtOnce] = {};
      AwaitInputs(from, tag, first, units, x);
      StoreDigits(x, first, units, digits, scales);
    }
    FusedBarrier();
  }
  template <int kLinear>
  __device__ void Multiply(const FusedLayer& layer, int d, const float* squares, float* to,
                           uint32_t tag) {
    const FusedShare share = ShareOf(a, kLinear, a.heads * d, a.kv_heads * d);
    constexpr bool kGateUp = kLinear == kFusedGateUp;
    float* const here = kGateUp ? reinterpret_cast<float*>(shared + a.shared.gate_up_sums) : sums;
    FusedProduct<kExperts>(a, places, ring, share.count, BlocksOf(a, kLinear, a.heads * d), here);
    FusedBarrier();
    PublishOutputs<kLinear, kSandwich>(a, layer, share, squares, here,
                                       kExperts ? ChosenExperts(a, shared) : nullptr, to, tag);
    if (kGateUp) FusedBarrier();  // the digits of their outputs take the place of sums
  }
};

}  // namespace awq::cuda
