// Inputs of attention and of experts, for the cases that need them.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "awq/ops/cases/table.h"

namespace awq::cases {

struct Sequence {
  int64_t cached;  // tokens before this step
  int64_t fresh;   // tokens of this step
};

struct AttentionCase {
  std::vector<Sequence> sequences;
  int64_t heads, kv_heads, d;
  int64_t window = 0;
  int64_t page_size = 16;
  float softcap = 0;
  bool alibi = false;
  bool e4m3 = false;   // the cache
  int64_t max_kv = 0;  // that the batch is said to have, where it is more
};

struct AttentionInputs {
  Batch batch;
  PagedKv cache;
  TensorView q, k, v, y;
};

// Pages are dealt in a shuffled order; the cache is full of noise that only masks keep out.
AttentionInputs MakeAttention(Fixture& f, DType act, const AttentionCase& c);
AttentionArgs MakeAttentionArgs(Fixture& f, const AttentionCase& c);

// Room for where the rows go.
Routing MakeRouting(Fixture& f, int64_t tokens, int64_t experts, int64_t active);

// Every expert's weight.
using MakeWeight = std::function<std::unique_ptr<PackedWeight>(Fixture&, int64_t expert)>;
PackedStack& MakeStack(Fixture& f, int64_t count, const MakeWeight& make);
std::unique_ptr<PackedWeight> DenseWeight(Fixture& f, DType type, int64_t n, int64_t k);

}  // namespace awq::cases
