// What the kernel of fused_layers.cuh is told: decoder layers of one token as one kernel.
#pragma once

#include <cstdint>

namespace awq::cuda {

inline constexpr int kFusedWarps = 16;  // that compute; one more streams weights
inline constexpr int kFusedThreads = 32 * kFusedWarps;
inline constexpr int kFusedBlockThreads = kFusedThreads + 128;  // registers change hands by 128
inline constexpr int kMaxFusedGroup = 8;                        // query heads of a group
inline constexpr int kMaxFusedLayers = 160;
// Beyond so many keys calls one by one are as fast.
inline constexpr int kMaxFusedKeys = 8192;
constexpr int MostFusedKeys(int head_size) {
  return head_size > 128 ? kMaxFusedKeys / 2 : kMaxFusedKeys;
}
// Of 16 keys, of one of `splits` thread blocks at most: the first may lie before a window.
constexpr int FusedPages(int splits) { return ((kMaxFusedKeys + 14) / splits + 16) / 16; }
inline constexpr int kMaxFusedTurns = 2;  // a thread has eight inputs of 4096 at a time
// Of routed experts: in a layer, chosen, and rows of the router that a block has.
inline constexpr int kMaxFusedExperts = 256;
inline constexpr int kMaxFusedActive = 32;
inline constexpr int kMaxFusedRouterRows = 8;

// Slots on their way while vectors are exchanged, which come behind what is asked for; of keys and
// values; and once a ring's slots of a linear have been asked for. All measured; no
// more than a ring has, which would wait for ever.
inline constexpr unsigned kFusedAhead = 2;
inline constexpr unsigned kFusedKeysAhead = 3;
inline constexpr unsigned kFusedStream = 4;

// The linears of a layer, in turn; the even ones read the norm of the residual stream.
enum FusedLinear { kFusedQkv, kFusedO, kFusedGateUp, kFusedDown, kFusedLinears };

struct FusedLayer {
  const uint8_t* weights[kFusedLinears];  // layout.h; gate and up in turns
  const float* biases[kFusedLinears];     // or null
  const float* norms[2];                  // weights of those before qkv, and before gate and up
  const float* head_norms[2];             // of each head of q, of k, or null
  float scales[kFusedLinears];            // of all outputs
};
// Of a layer whose sums have norms of their own (a sandwich of norms, Gemma 2).
struct alignas(16) FusedSandwich {
  const float* norms[2];  // weights of those of what attention and the feed-forward part add
  int reach;
};

// Which keys layers see, and how they rotate.
struct FusedReach {
  int window;  // 0: all
  float magnitude;
  const float* inverse_frequencies;
};
inline constexpr int kMaxFusedReaches = 2;

enum class FusedKind { kGated, kRouted, kSandwich };  // of feed-forward parts; kSandwich is gated

// A layer's experts take the place of its last two linears.
struct alignas(16) FusedExpert {
  const uint8_t* gate_up;  // layout.h; gate and up in turns
  const uint8_t* down;
  float gate_up_scale, down_scale;  // of all outputs
};
struct FusedRouter {
  const void* rows;  // [experts, hidden]
  const FusedExpert* experts;
};
enum class FusedRouterType { kF32, kF16, kBF16 };

// Offsets in shared memory, bytes. The ring of slots lies at 0; a slot holds 16 blocks of a
// row tile, or keys and values.
struct FusedShared {
  int slots;
  int slot_bytes;
  int digits, scales;  // of a linear's inputs
  int merge;           // sums of attention's warps, [warp][head][d], in the place of digits
  int sums;            // of linears, [row tile][warp][16]; then attention's splits
  int gate_up_sums;    // of those two, behind the digits of their inputs
  int pages, cosines, queries, tokens, statistics, parts, layers, barriers;
  // Of routed experts: where each layer's are, all of a layer, logits and the order that they are
  // in, those chosen, sums of the router's rows, and the barrier that says that they are chosen.
  int routers, experts, logits, keys, picked, chosen, router_sums, routed;
  int sandwiches, squares;  // those of layers, and sums of warps
  int bytes;
};

struct FusedArgs {
  const FusedLayer* layers;
  int num_layers;
  int hidden, heads, kv_heads;
  int groups;  // of query heads, one or more of them a kv head
  int ffn;     // of all chosen experts
  int block_bytes;
  bool has_zeros;
  float epsilon;
  float inverse_hidden;
  int activation;
  // Attention: `splits` thread blocks share the keys of a group.
  int splits, chunk_keys, page_size;
  int group_heads;                       // of the largest group
  float scale;                           // of scores, times log2(e)
  float cap, inverse_cap;                // of those of sandwiches, times log2(e); 0: none
  FusedReach reaches[kMaxFusedReaches];  // all but sandwiches have the first alone
  const FusedSandwich* sandwiches;       // of each layer
  const int* positions;
  const int* kv_len;
  const int* table;
  // Routed experts, as RouteArgs has them, by their softmax.
  const FusedRouter* routers;  // of each layer
  int experts, active;         // 0: none
  int expert_blocks;           // of 128 inputs of an expert's down projection
  FusedRouterType router;
  bool normalize;
  float weight_scale;
  // Through these the thread blocks exchange vectors; see fused_hop.cuh.
  float* qkv;
  float* partial;  // [groups · splits][group_heads · (d + 2)]
  float* mixed;
  float* attended;  // the output of o
  float* logits;    // [experts]
  float* ffn_hidden;
  float* fed;       // the output of down
  uint32_t* epoch;  // of the first layer
  float* residual;  // [hidden], in and out
  FusedShared shared;
  void* caches[2][kMaxFusedLayers];  // keys and values [pages, kv_heads, page_size, d]
};

}  // namespace awq::cuda
