#include "awq/backend/cuda/bench/attention_timing.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "awq/backend/cuda/attention.h"
#include "awq/backend/cuda/bench/device_work.h"
#include "awq/backend/cuda/rows.h"

namespace awq::cuda {
namespace {

constexpr int64_t kHeads = 32;
constexpr int64_t kKvHeads = 8;
constexpr int64_t kHeadSize = 128;
constexpr int64_t kPageSize = 16;
// Copies of a step's cache, so that L2 holds none of them when its turn comes.
constexpr int64_t kRotation = int64_t{320} << 20;

struct Step {
  std::string name;
  int64_t sequences, keys;  // of each, these of the step included
  int64_t tokens;           // of each
  bool mixed = false;       // every sequence has half as many as the one before, six in turn
  int64_t Keys(int64_t sequence) const { return mixed ? keys >> sequence % 6 : keys; }
  int64_t AllKeys() const {
    int64_t sum = 0;
    for (int64_t b = 0; b < sequences; ++b) sum += Keys(b);
    return sum;
  }
};
const std::vector<Step> kSteps = {{"prefill_4096", 1, 4096, 4096},
                                  {"decode_1x512", 1, 512, 1},
                                  {"decode_64x512", 64, 512, 1},
                                  {"decode_32x8192", 32, 8192, 1},
                                  {"decode_32x256..8192", 32, 8192, 1, true}};

// Device memory of a dense tensor.
class Buffer {
 public:
  Buffer(DType type, const Shape& shape)
      : memory_(AllocDevice<uint8_t>(TensorView(nullptr, type, shape).NumBytes())),
        view_(memory_.get(), type, shape, Device::kCuda) {}
  const TensorView& view() const { return view_; }
  void Fill(const std::vector<int32_t>& values) const {
    AWQ_CUDA(cudaMemcpy(view_.data, values.data(), values.size() * sizeof(int32_t),
                        cudaMemcpyHostToDevice));
  }

 private:
  DeviceArray<uint8_t> memory_;
  TensorView view_;
};

// The batch of a step in which every sequence has `tokens` new tokens, or, of 0, all that it has;
// page p of sequence b of copy c is page (c · sequences + b) · pages + p.
class StepBatch {
 public:
  StepBatch(const Step& s, int64_t tokens, int64_t copy)
      : starts_(static_cast<size_t>(s.sequences + 1)),
        lengths_(static_cast<size_t>(s.sequences)),
        ints_(DType::kI32, {tokens > 0 ? s.sequences * tokens : s.AllKeys()}),
        seq_start_(DType::kI32, {s.sequences + 1}),
        kv_len_(DType::kI32, {s.sequences}),
        table_(DType::kI32, {s.sequences, s.keys / kPageSize}) {
    for (size_t b = 0; b < lengths_.size(); ++b) {
      lengths_[b] = static_cast<int32_t>(s.Keys(static_cast<int64_t>(b)));
      starts_[b + 1] = starts_[b] + (tokens > 0 ? static_cast<int32_t>(tokens) : lengths_[b]);
    }
    std::vector<int32_t> pages(static_cast<size_t>(table_.view().NumElements()));
    std::iota(pages.begin(), pages.end(), static_cast<int32_t>(copy * table_.view().NumElements()));
    seq_start_.Fill(starts_);
    kv_len_.Fill(lengths_);
    table_.Fill(pages);
    batch_ = {.tokens = ints_.view(),
              .positions = ints_.view(),
              .seq_start = seq_start_.view(),
              .kv_len = kv_len_.view(),
              .block_table = table_.view(),
              .host_seq_start = starts_,
              .host_kv_len = lengths_,
              .max_query = tokens > 0 ? tokens : s.keys,
              .max_kv = s.keys};
  }
  const Batch& batch() const { return batch_; }

 private:
  std::vector<int32_t> starts_, lengths_;
  Buffer ints_, seq_start_, kv_len_, table_;
  Batch batch_;
};

Measurement Time(const DeviceLimits& device, const Ceilings& ceilings, const Step& s,
                 DType cache_type) {
  const int64_t elements = s.AllKeys() * kKvHeads * kHeadSize;  // of keys
  const int64_t cache_bytes = 2 * elements * BitsOf(cache_type) / 8;
  const int64_t copies = s.tokens > 1 ? 1 : std::clamp<int64_t>(kRotation / cache_bytes, 1, 64);
  const Shape pages{copies * s.sequences * s.keys / kPageSize, kKvHeads, kPageSize, kHeadSize};
  const Buffer keys(cache_type, pages);
  const Buffer values(cache_type, pages);
  const PagedKv cache{keys.view(), values.view()};
  std::vector<StepBatch> batches;
  {
    const Buffer rows(DType::kF16, {s.AllKeys(), kKvHeads, kHeadSize});
    FillNormal(false, elements, 5, rows.view().data);
    for (int64_t c = 0; c < copies; ++c) {
      batches.emplace_back(s, s.tokens, c);
      const StepBatch all(s, 0, c);
      KvWrite({}, all.batch(), rows.view(), rows.view(), cache);
      AWQ_CUDA(cudaDeviceSynchronize());
    }
  }
  const Buffer q(DType::kF16, {s.sequences * s.tokens, kHeads, kHeadSize});
  const Buffer y(DType::kF16, {s.sequences * s.tokens, kHeads, kHeadSize});
  FillNormal(false, q.view().NumElements(), 6, q.view().data);
  const Batch& first = batches.front().batch();
  AttentionArgs args;
  args.scale = 1.0f / std::sqrt(static_cast<float>(kHeadSize));
  const auto workspace = AllocDevice<uint8_t>(
      std::max<int64_t>(1, AttentionWorkspace(device, args, first, q.view(), cache, kShortRows)));
  const int64_t count = AttentionCounters(first, cache);
  const auto counters = AllocDevice<int>(count);
  AWQ_CUDA(cudaMemset(counters.get(), 0, static_cast<size_t>(count) * sizeof(int)));
  const int operations = static_cast<int>(std::max<int64_t>(copies, 4));
  const Timing time = TimeGraph(operations, 9, [&](cudaStream_t stream) {
    for (int i = 0; i < operations; ++i) {
      Attention({.stream = stream, .overlap = device.arch >= 90}, device, args,
                batches[static_cast<size_t>(i) % batches.size()].batch(), q.view(), cache, y.view(),
                kShortRows, workspace.get(), counters.get());
    }
  });
  const double pairs = static_cast<double>(s.tokens * s.AllKeys()) -
                       0.5 * static_cast<double>(s.sequences * s.tokens * (s.tokens - 1));
  const double flops = 4 * pairs * static_cast<double>(kHeads * kHeadSize);
  const double bytes = static_cast<double>(cache_bytes + 2 * q.view().NumBytes());
  return {.name = "attention/" + s.name + (cache_type == DType::kF8E4M3 ? "/e4m3" : "/f16"),
          .m = s.sequences * s.tokens,
          .n = kHeads * kHeadSize,
          .k = s.keys,
          .time = time,
          .limit_us = 1e-6 * std::max(bytes / ceilings.read_tbps, flops / ceilings.fp16_tflops),
          .bytes = bytes,
          .baseline = {}};
}

}  // namespace

std::vector<Measurement> TimeAttention(const DeviceLimits& device, const Ceilings& ceilings) {
  std::vector<Measurement> out;
  std::printf(
      "\nattention, %ld heads of %ld over %ld       floor us        us   [min, max]       "
      "%% of the limit\n",
      static_cast<long>(kHeads), static_cast<long>(kHeadSize), static_cast<long>(kKvHeads));
  for (const Step& s : kSteps) {
    for (const DType type : {DType::kF16, DType::kF8E4M3}) {
      const Measurement m = Time(device, ceilings, s, type);
      std::printf("%-36s %10.2f %10.2f  [%.2f, %.2f]  %6.0f\n", m.name.c_str(), m.limit_us,
                  m.time.median_us, m.time.min_us, m.time.max_us,
                  100 * m.limit_us / m.time.median_us);
      std::fflush(stdout);
      out.push_back(m);
    }
  }
  return out;
}

}  // namespace awq::cuda
