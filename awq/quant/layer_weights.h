// LayerWeights: the weights of one layer on their way from the mapped file to codes. Linears stay
// views of the file until a method asks for one it can change.
#pragma once

#include <cstdint>
#include <vector>

#include "awq/checkpoint/weights.h"

namespace awq {

class LayerWeights {
 public:
  LayerWeights(const WeightSource& source, int64_t layer) : source_(source), layer_(layer) {}

  // Linears as the checkpoint stores them; biases and norms as f32 copies. Throws kCorrupt (file,
  // tensor) for values that are not finite.
  LayerParams Stored() const;
  // Makes that linear of `params` an f32 copy [N, K].
  void Load(LinearId id, LayerParams& params) const;
  // Load() for all linears.
  void LoadAll(LayerParams& params) const;
  // Gives the file's pages back to the system; views of it stay valid.
  void Release() const;

 private:
  const WeightSource& source_;
  int64_t layer_;
};

// The vectors and those linears of `from`, in the same memory.
LayerParams ShareSome(const LayerParams& from, const std::vector<LinearId>& ids);
LayerParams ShareAll(const LayerParams& from);
// All but routed experts.
LayerParams ShareDense(const LayerParams& from);
// One routed expert's, and the vectors.
LayerParams ShareExpert(const LayerParams& from, int64_t expert);
// All but routed experts and attention.
LayerParams ShareFeedForward(const LayerParams& from);
// Vectors and biases become copies that can be changed without changing what they were shared with.
void CopyVectors(LayerParams& params);

}  // namespace awq
