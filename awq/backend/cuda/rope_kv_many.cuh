// Rotation and storing as in rope_kv.cuh, for many tokens.
#pragma once

#include "awq/backend/cuda/rope_kv.cuh"

namespace awq::cuda {

inline constexpr int64_t kManyTokens = 128;
inline constexpr int kManyThreads = 256;  // a block at most
inline constexpr int kPartSize = 2 * kWide;
inline constexpr int kTurns = 2;

// Of kManyThreads threads an SM that registers must suffice for.
template <typename T, bool kNormed>
inline constexpr int kManyBlocks = 4 - (kNormed ? 1 : 0) - (sizeof(T) == 4 ? 1 : 0);

// Block: heads of a token, whose angles its threads share, a row of threads kTurns of them; thread:
// 16 elements of each.
template <typename T, typename C, bool kNormed>
__global__ void __launch_bounds__(kManyThreads, (kManyBlocks<T, kNormed>))
    RopeKvWriteManyKernel(const RopeKvArgs<T, C> args) {
  AllowNextKernel();
  extern __shared__ float4 angles[];
  const int t = static_cast<int>(blockIdx.x);
  const int lane = static_cast<int>(threadIdx.x);
  const int lanes = static_cast<int>(blockDim.x);
  const int heads_apart = static_cast<int>(blockDim.y);
  const int slot = static_cast<int>(threadIdx.y);
  const int first_head = static_cast<int>(blockIdx.y) * kTurns * heads_apart + slot;
  const HeadPart part = PartOf<kWide>(lane, args.half, args.d);
  const auto position = static_cast<float>(args.positions[t]);
  WaitForPreviousKernel();

  // All are asked for before the angles are made. A thread that a turn has nothing for reads values
  // that another one reads, too.
  using Words = Pack<uint32_t, kWide * sizeof(T) / sizeof(uint32_t)>;
  struct Turn {
    bool used;
    Words a, b;
  };
  Turn turns[kTurns];
#pragma unroll
  for (int u = 0; u < kTurns; ++u) {
    Turn& turn = turns[u];
    const int head = first_head + u * heads_apart;
    turn.used = head < args.AllHeads() && (kNormed || part.paired || head >= args.heads);
    const T* from = args.Head(t, turn.used ? head : args.AllHeads() - 1);
    turn.a = *reinterpret_cast<const Words*>(from + part.first);
    turn.b = *reinterpret_cast<const Words*>(from + part.second);
  }
  auto* sines = reinterpret_cast<float*>(angles);
  float* cosines = sines + args.half;
  for (int i = slot * lanes + lane; i < args.half; i += lanes * heads_apart) {
    // A thread's angles are two runs of four, half / 2 apart, as those of neighbours are.
    const int at = args.interleaved ? i : i / 8 * 4 + i % 4 + (i % 8 < 4 ? 0 : args.half / 2);
    sincosf(position * args.inverse_frequencies[i], &sines[at], &cosines[at]);
  }
  const KvRow row = FindRow(args.place, t);
  __syncthreads();

  float s[kWide];
  float c[kWide];
  if (part.paired) {
#pragma unroll
    for (int run = 0; run < 2; ++run) {
      const int at = 4 * lane + run * args.half / 2;
      const auto run_s = *reinterpret_cast<const Pack<float, 4>*>(sines + at);
      const auto run_c = *reinterpret_cast<const Pack<float, 4>*>(cosines + at);
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        s[4 * run + e] = run_s.v[e];
        c[4 * run + e] = run_c.v[e];
      }
    }
  }
#pragma unroll
  for (int u = 0; u < kTurns; ++u) {
    Turn& turn = turns[u];
    const int head = first_head + u * heads_apart;
    const bool turned = head < args.TurnedHeads();
    float a[kWide];
    float b[kWide];
    // Not to be taken apart earlier, which would wait for them.
    for (uint32_t& word : turn.a.v) Keep(word);
    for (uint32_t& word : turn.b.v) Keep(word);
    LoadFloats<T, kWide>(reinterpret_cast<const T*>(&turn.a), a);
    LoadFloats<T, kWide>(reinterpret_cast<const T*>(&turn.b), b);
    if constexpr (kNormed) {
      const float squares = SumOfLanes(SumOfSquares(a, b), lanes);
      if (turned) {
        const float* w = head < args.heads ? args.norms.q : args.norms.k;
        const float inverse = rsqrtf(squares / static_cast<float>(args.d) + args.norms.epsilon);
        float weights[kWide];
        LoadFloats<float, kWide>(w + part.first, weights);
        ScaleBy(inverse, weights, a);
        LoadFloats<float, kWide>(w + part.second, weights);
        ScaleBy(inverse, weights, b);
      }
    }
    if (!turn.used) continue;
    if (turned && part.paired) TurnPairs(s, c, args.interleaved, args.magnitude, a, b);
    StorePart(args, row, t, head, part, a, b);
  }
}

}  // namespace awq::cuda
