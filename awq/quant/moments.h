// Moments: statistics of what the linears of a layer read, gathered while calibration runs.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "awq/base/tensor.h"
#include "awq/model/spec.h"
#include "awq/nn/context.h"

namespace awq {

// The linears that read one tensor share a site, named after one of them: q (of q, k, v), kv_a (of
// q_a too), o, gate (of up, also where there is up alone), router (of the shared experts), each
// expert's gate (of its up), down, …
LinearId SiteOf(LinearId id);

// A matrix [K, K] of which blocks on the diagonal are kept, as a tensor [K, B]: rows of a block
// hold its columns. B = K is the whole matrix.
struct DiagonalBlock {
  int64_t begin, end;  // rows, and columns
};
std::vector<DiagonalBlock> DiagonalBlocks(const TensorView& matrix);
TensorView ViewOf(const TensorView& matrix, const DiagonalBlock& block);
// The part of rows and columns [begin, end), which lies in one block.
TensorView PartOf(const TensorView& matrix, int64_t begin, int64_t end);

// Of x [T, K] at one site. Matrices may be kept as blocks.
struct SiteMoments {
  Tensor gram;          // F32 [K, K]: Σ_t x xᵀ
  Tensor sampled_gram;  // the same of every stride-th token; empty without a stride
  // How far the quantized model has drifted, where both streams are known; x*, y* and r* are the
  // full-precision model's input, output and residual stream.
  Tensor drift;         // F32 [K, K]: Σ_t (x* - x) xᵀ
  Tensor output_drift;  // F32 [N, K]: Σ_t (r* + y* - r - W·x) xᵀ, of a site that ends in the stream
  std::vector<float> mean_abs;  // [K]: mean over tokens of |x|
  int64_t tokens = 0;
};

// Throws kCorrupt, naming layer and site, for moments that are not finite.
void CheckFinite(int64_t layer, LinearId site, const SiteMoments& moments);

// A site that fewer calibration tokens reach is judged by its weights alone: second moments of so
// few say more about them than about what an expert reads.
inline constexpr int64_t kFewTokens = 32;
// Moments of an input of size k of which nothing is known: every element alike, none with another.
// `columns` as in MakeMoments.
SiteMoments WeightOnlyMoments(int64_t k, int64_t tokens, int64_t columns = 0);
// Puts such moments where that expert of the layer has seen fewer than kFewTokens, or none.
void FillFewTokens(const ModelSpec& model, int64_t layer, int64_t expert, int64_t columns,
                   std::map<LinearId, SiteMoments>& sites);

// Gathers moments of all sites of one layer; host backends alone.
class MomentsTap : public Tap {
 public:
  // stride > 0: a second Gram matrix of every stride-th token, as AutoAWQ's clip search uses.
  // columns > 0: of blocks of so many columns.
  explicit MomentsTap(Backend& backend, int64_t stride = 0, int64_t columns = 0)
      : backend_(backend), stride_(stride), columns_(columns) {}
  void OnInput(LinearId id, int64_t layer, const TensorView& x) override;
  // The moments so far; the tap is empty afterwards.
  std::map<LinearId, SiteMoments> Finish();

 private:
  struct Sums {
    Tensor gram, sampled, abs;
    int64_t tokens = 0;
  };
  void AddSampled(Sums& sums, const TensorView& x);

  Backend& backend_;
  int64_t stride_;
  int64_t columns_;
  std::map<LinearId, Sums> sums_;
};

// Zeros [K, K], kept as blocks of `columns` if 0 < columns < K.
Tensor MakeMoments(Backend& backend, int64_t k, int64_t columns);
// matrix += xᵀ·y over the rows of x and y [T, K]; x = y (the same memory) is cheaper.
void AddMoments(Backend& backend, const TensorView& x, const TensorView& y,
                const TensorView& matrix);

// gram[i, j] · a[i] · a[j]: the Gram matrix of x scaled by a [K]; in place, and as a copy.
void ScaleGramInPlace(const TensorView& gram, std::span<const float> a);
Tensor ScaleGram(const TensorView& gram, std::span<const float> a);

// Of the products that GramLosses makes at a time.
inline constexpr int64_t kProductBytes = int64_t{32} << 20;
// δ_n · G · δ_nᵀ for each row δ_n of delta [N, K].
std::vector<double> GramLosses(Backend& backend, const TensorView& delta, const TensorView& gram);
// Σ_n δ_n · G · δ_nᵀ for rows δ of delta [N, K]: ‖delta · X‖² when G = Σ x xᵀ; G may
// be kept as blocks.
double GramLoss(Backend& backend, const TensorView& delta, const TensorView& gram);

}  // namespace awq
