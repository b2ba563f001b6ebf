// Plain arguments of the operations: what kernels see of a batch and of the KV cache.
// Letters: T tokens, B sequences, D hidden, H query heads, G kv heads, d head size, F ffn size,
// E experts, A of them a token, P = T·A pairs, V vocabulary; linears M rows, N out, K in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "awq/base/tensor.h"

namespace awq {

// The rows of one forward step: T tokens of B sequences, each sequence's tokens adjacent and in
// order. Sequence b has rows [seq_start[b], seq_start[b+1]) and kv_len[b] tokens in the cache once
// this step has written its own; row t of it stands at position kv_len[b] - (seq_start[b+1] - t).
struct Batch {
  TensorView tokens;       // I32 [T]
  TensorView positions;    // I32 [T]
  TensorView seq_start;    // I32 [B + 1]
  TensorView kv_len;       // I32 [B]
  TensorView block_table;  // I32 [B, blocks]: page of token p is block_table[b, p / page_size]
  // seq_start and kv_len once more, on the host.
  std::span<const int32_t> host_seq_start;
  std::span<const int32_t> host_kv_len;
  int64_t max_query = 0;  // the longest run of rows of one sequence
  int64_t max_kv = 0;     // the largest kv_len

  int64_t num_tokens() const { return tokens.dim(0); }
  int64_t num_seqs() const { return kv_len.dim(0); }
};

// Fewer keys of a sequence are not worth sharing out by length.
inline constexpr int64_t kFewKeys = 1024;
// Whether sequences differ so much in length that giving each as large a part of a device would
// leave some of it idle: the longest has more than kFewKeys, all of them together less than .9 of
// what they would have if they were as long. Kernels may be chosen by it.
inline bool HasUnevenLengths(std::span<const int32_t> kv_len) {
  int64_t longest = 0;
  int64_t total = 0;
  for (int32_t n : kv_len) {
    longest = std::max<int64_t>(longest, n);
    total += n;
  }
  return longest > kFewKeys && 10 * total < 9 * longest * static_cast<int64_t>(kv_len.size());
}

// One layer's share of the cache: pages of page_size tokens, of floats of any type or F8_E4M3, to
// which values are rounded as they are, without a scale (larger ones become ±448). Under latent
// attention a token has one row, its latent vector and the rotated key that all heads share:
// [pages, 1, page_size, rank + rope], and no values.
struct PagedKv {
  TensorView keys;    // [pages, G, page_size, d]
  TensorView values;  // [pages, G, page_size, d], or empty
  int64_t page_size() const { return keys.dim(2); }
  int64_t kv_heads() const { return keys.dim(1); }
};

enum class NormKind { kRms, kLayer };
struct NormArgs {
  NormKind kind = NormKind::kRms;
  float epsilon = 1e-5f;
};

// The norm of what is added to the residual stream, before it is.
struct PostNorm {
  NormArgs args;
  TensorView weight, bias;  // F32 [D]; bias may be empty
};

// Rotates the first `rotary` of each head's d elements; pairs are (i, i + rotary/2), or (2i, 2i +
// 1) when interleaved. cos and sin are multiplied by `magnitude` (YaRN, LongRoPE).
struct RopeArgs {
  TensorView inverse_frequencies;  // F32 [rotary / 2]
  bool interleaved = false;
  float magnitude = 1.0f;
};

// RMS norms of the heads of q and of k before they are rotated; without weights there are none.
struct HeadNorms {
  TensorView q, k;  // F32 [d], or empty
  float epsilon = 1e-5f;
};

// Room for what lies between the parts of Backend::MlaHeads.
struct MlaRoom {
  TensorView q_latent, y_latent;  // [T, H, rank]
};

enum class Activation { kSilu, kGelu, kGeluTanh, kRelu };

// A score is q·k · scale, capped, plus the query head's slope times (key - query) positions.
struct AttentionArgs {
  float scale = 1.0f;       // of q·k
  int64_t window = 0;       // a query at p sees keys in (p - window, p]; 0: all keys up to p
  float softcap = 0.0f;     // c: s becomes c · tanh(s / c); 0: it stays
  TensorView alibi_slopes;  // F32 [H] (ALiBi, arXiv:2108.12409); empty: none
};

// v = x · factor, then clamped to ±limit, then softcap · tanh(v / softcap); a 0 leaves its step
// out.
struct ScaleArgs {
  float factor = 1.0f;
  float limit = 0.0f;
  float softcap = 0.0f;
};

// How the next token of each of R rows is drawn.
struct SampleArgs {
  TensorView temperature;    // F32 [R] ≥ 0
  TensorView top_k;          // I32 [R] ≥ 0
  TensorView top_p;          // F32 [R], above 0
  TensorView most_distance;  // F32 [R] ≥ 0
  TensorView repetition;     // F32 [R], above 0
  TensorView random;         // I32 [R, 2]: 64 random bits, the low half first
  TensorView seen;      // I32 [R, S]: tokens of prompt and answer, each once; -1: none. Or empty
  TensorView subtract;  // F32 [R, S]: from their logits. Or empty
};

// A decode step whose successor may start before the host knows what was drawn.
struct AdvanceArgs {
  TensorView next;       // I32 [1]: the row of `record` to write; the one after it follows
  TensorView record;     // I32 [S, R], of Backend::AllocHost
  TensorView tokens;     // I32 [R]
  TensorView positions;  // I32 [R]
  TensorView kv_len;     // I32 [R]
};

// How experts are chosen. A score is the softmax of an expert's logit over all experts, or its
// sigmoid; the choice adds a bias to it, the weights do not.
struct RouteArgs {
  bool sigmoid = false;
  bool normalize = false;  // the chosen experts' scores are divided by their sum
  float scale = 1.0f;      // of the weights, at last
  // Experts are chosen from the active_groups best of `groups` groups, ranked by the sum of their
  // rank_by best experts; all others then count as 0, as in Transformers.
  int64_t groups = 1;
  int64_t active_groups = 1;
  int rank_by = 1;
};

// Where the rows of a step go. Pair p = t · A + a is token t's a-th expert; the best comes first.
struct Routing {
  TensorView experts;  // I32 [T, A]
  TensorView weights;  // F32 [T, A]
  TensorView pairs;    // I32 [P]: the pairs of expert 0 first, rising within each expert
  TensorView starts;   // I32 [E + 1]: expert e has pairs[starts[e] … starts[e + 1])
};

}  // namespace awq
