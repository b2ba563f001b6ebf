// Coordinate descent where rows answer for one another: with the slope G = M·E·H the best real
// value of a code is ŵ_ij + G_ij / (M_ii H_jj).
#include <algorithm>
#include <array>
#include <vector>

#include "awq/quant/moments.h"
#include "awq/quant/rounding.h"

namespace awq {
namespace {

constexpr int kLanes = 16;       // rows that move in turn within a column
constexpr int64_t kRows = 64;    // rows whose slopes are made together
constexpr int64_t kBlock = 128;  // columns
using Lanes = std::array<float, kLanes>;

// Rows [row, row + rows) in the columns [begin, end).
struct Tile {
  const Hessian& hessian;
  int64_t begin, end;
  Rounding& rounding;
  float* error;  // [N, K]
  int64_t width() const { return end - begin; }
  const float* Gram(int64_t j) const {
    return hessian.gram.As<const float>() + (begin + j) * rounding.k() + begin;
  }
};

// Moves the codes of one column; returns by how much the weights grew, all zero if none moved.
bool MoveColumn(const Tile& tile, int64_t column, int64_t row, int rows,
                const std::array<Lanes, kLanes>& metric, float power, Lanes slope, Lanes& moves) {
  Rounding& r = tile.rounding;
  const int64_t k = r.k();
  const int64_t groups = r.rule.scheme.Groups(k);
  const int64_t group = column / r.rule.scheme.GroupSize(k);
  Grid grid;
  grid.max_code = static_cast<float>(r.rule.scheme.MaxCode());
  bool moved = false;
  for (int i = 0; i < rows; ++i) {
    const auto lane = static_cast<size_t>(i);
    grid.scale = r.scales.As<const float>()[(row + i) * groups + group];
    grid.zero = r.zeros.As<const float>()[(row + i) * groups + group];
    float& step = r.steps.As<float>()[(row + i) * k + column];
    const float best = step * grid.scale + slope[lane] / (metric[lane][lane] * power);
    const float nearest = NearestStep(grid, best);
    moves[lane] = (nearest - step) * grid.scale;
    if (nearest == step) continue;
    moved = true;
    step = nearest;
    tile.error[(row + i) * k + column] -= moves[lane];
    const float change = moves[lane] * power;
    for (size_t u = 0; u < kLanes; ++u) slope[u] -= metric[lane][u] * change;
  }
  return moved;
}

// Descends kLanes rows; slope and pull [width][kLanes]. pull gets H times what the weights grew by.
void DescendLanes(const Tile& tile, int64_t row, int rows, const std::array<Lanes, kLanes>& metric,
                  std::vector<Lanes>& slope, std::vector<Lanes>& pull) {
  const int64_t width = tile.width();
  for (int64_t j = 0; j < width; ++j) {
    const float* gram = tile.Gram(j);
    Lanes moves{};
    if (!MoveColumn(tile, tile.begin + j, row, rows, metric, gram[j], slope[static_cast<size_t>(j)],
                    moves)) {
      continue;
    }
    Lanes together{};
    for (size_t i = 0; i < kLanes; ++i) {
      for (size_t u = 0; u < kLanes; ++u) together[u] += metric[i][u] * moves[i];
    }
    for (int64_t c = 0; c < width; ++c) {
      Lanes& to = pull[static_cast<size_t>(c)];
      for (size_t u = 0; u < kLanes; ++u) to[u] += moves[u] * gram[c];
    }
    for (int64_t c = j + 1; c < width; ++c) {
      Lanes& to = slope[static_cast<size_t>(c)];
      for (size_t u = 0; u < kLanes; ++u) to[u] -= together[u] * gram[c];
    }
  }
}

// Rows [first, last) of one block of the metric, whose slopes are those at present; product [N, w]
// is E·H and follows.
void DescendRows(const Tile& tile, const TensorView& metric, const DiagonalBlock& block,
                 int64_t first, int64_t last, const TensorView& slope, const TensorView& product) {
  const int64_t width = tile.width();
  const auto m = [&](int64_t a, int64_t b) {
    return metric.As<const float>()[a * metric.strides[0] + b - block.begin];
  };
  std::vector<Lanes> slopes(static_cast<size_t>(width));
  std::vector<Lanes> pull(static_cast<size_t>(width));
  for (int64_t row = first; row < last; row += kLanes) {
    const auto rows = static_cast<int>(std::min<int64_t>(kLanes, last - row));
    std::array<Lanes, kLanes> own{};
    for (int a = 0; a < rows; ++a) {
      for (int b = 0; b < rows; ++b) {
        own[static_cast<size_t>(a)][static_cast<size_t>(b)] = m(row + a, row + b);
      }
    }
    std::fill(slopes.begin(), slopes.end(), Lanes{});
    std::fill(pull.begin(), pull.end(), Lanes{});
    for (int i = 0; i < rows; ++i) {
      const float* from = slope.As<const float>() + (row - first + i) * width;
      for (int64_t c = 0; c < width; ++c) {
        slopes[static_cast<size_t>(c)][static_cast<size_t>(i)] = from[c];
      }
    }
    DescendLanes(tile, row, rows, own, slopes, pull);
    for (int i = 0; i < rows; ++i) {
      float* to = product.As<float>() + (row + i) * width;
      for (int64_t c = 0; c < width; ++c) {
        to[c] -= pull[static_cast<size_t>(c)][static_cast<size_t>(i)];
      }
    }
    for (int64_t other = row + kLanes; other < last; ++other) {
      Lanes weight{};
      for (int i = 0; i < rows; ++i) weight[static_cast<size_t>(i)] = m(other, row + i);
      float* to = slope.As<float>() + (other - first) * width;
      for (int64_t c = 0; c < width; ++c) {
        float sum = 0;
        for (size_t u = 0; u < kLanes; ++u) sum += weight[u] * pull[static_cast<size_t>(c)][u];
        to[c] -= sum;
      }
    }
  }
}

}  // namespace

void DescendCoupled(Backend& backend, ThreadPool& pool, const Hessian& hessian,
                    Rounding& rounding) {
  const int64_t n = rounding.n();
  const int64_t k = rounding.k();
  const Tensor error = RoundingError(pool, rounding);
  const TensorView metric = rounding.metric.view();
  const std::vector<DiagonalBlock> blocks = DiagonalBlocks(metric);
  const int64_t columns = std::min(k, kBlock);
  const Tensor products = MakeTensor(DType::kF32, {n, columns});
  const Tensor slopes =
      MakeTensor(DType::kF32, {static_cast<int64_t>(blocks.size()) * kRows, columns});
  for (int64_t begin = 0; begin < k; begin += kBlock) {
    const Tile tile{hessian, begin, std::min(begin + kBlock, k), rounding, error.As<float>()};
    const TensorView product(products.view().data, DType::kF32, {n, tile.width()});
    backend.MatMul(error.view(), hessian.gram.view().Rows(begin, tile.end), true, product);
    // Blocks of the metric are independent: the first rows of each, then the second, ….
    for (int64_t at = 0; at < metric.dim(1); at += kRows) {
      const auto slope_of = [&](size_t b, int64_t rows) {
        return TensorView(slopes.As<float>() + static_cast<int64_t>(b) * kRows * columns,
                          DType::kF32, {rows, tile.width()});
      };
      const auto rows_of = [&](const DiagonalBlock& block) {
        const int64_t first = std::min(block.begin + at, block.end);
        return DiagonalBlock{first, std::min(first + kRows, block.end)};
      };
      for (size_t b = 0; b < blocks.size(); ++b) {
        const DiagonalBlock rows = rows_of(blocks[b]);
        if (rows.begin == rows.end) continue;
        const TensorView weights =
            metric.Rows(rows.begin, rows.end).Columns(0, blocks[b].end - blocks[b].begin);
        backend.MatMul(weights, product.Rows(blocks[b].begin, blocks[b].end), false,
                       slope_of(b, rows.end - rows.begin));
      }
      pool.For(static_cast<int64_t>(blocks.size()), 1, [&](int64_t from, int64_t to) {
        for (auto b = static_cast<size_t>(from); b < static_cast<size_t>(to); ++b) {
          const DiagonalBlock rows = rows_of(blocks[b]);
          DescendRows(tile, metric, blocks[b], rows.begin, rows.end,
                      slope_of(b, rows.end - rows.begin), product);
        }
      });
    }
  }
}

}  // namespace awq
