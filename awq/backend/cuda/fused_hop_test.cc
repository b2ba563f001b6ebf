// Why words of one bit of epoch are enough (fused_hop.cuh): no word is written again before all who
// read it have done so, if every block has tiles of all linears. What a block of fused_layers.cuh
// does in turn is written down here once more, as reads and writes of vectors.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace awq::cuda {
namespace {

// What a block has, as bits: tiles of each linear, keys, rows of a router.
enum Work { kQkv = 1, kKeys = 2, kO = 4, kGateUp = 8, kDown = 16, kRouter = 32, kAll = 63 };
enum Vector {
  kVectorQkv,
  kVectorPartial,
  kVectorMixed,
  kVectorAttended,
  kVectorLogits,
  kVectorHidden,
  kVectorFed
};
constexpr std::array<int, 7> kWriters = {kQkv, kKeys, kKeys, kO, kRouter, kGateUp, kDown};
constexpr int kLayers = 4;

struct Event {
  bool writes;
  int vector, layer;
  bool operator==(const Event&) const = default;
};

std::vector<Event> EventsOf(int work) {
  std::vector<Event> out;
  const auto reads = [&](int vector, int layer) { out.push_back({false, vector, layer}); };
  const auto writes = [&](int needed, int vector, int layer) {
    if ((work & needed) != 0) out.push_back({true, vector, layer});
  };
  for (int l = 0; l < kLayers; ++l) {
    if (l > 0) reads(kVectorFed, l - 1);
    writes(kQkv, kVectorQkv, l);
    if ((work & kKeys) != 0) {
      reads(kVectorQkv, l);
      writes(kKeys, kVectorPartial, l);
      reads(kVectorPartial, l);
      writes(kKeys, kVectorMixed, l);
    }
    reads(kVectorMixed, l);
    writes(kO, kVectorAttended, l);
    reads(kVectorAttended, l);
    writes(kRouter, kVectorLogits, l);
    reads(kVectorLogits, l);
    writes(kGateUp, kVectorHidden, l);
    reads(kVectorHidden, l);
    writes(kDown, kVectorFed, l);
  }
  return out;
}

class BlockRun {
 public:
  explicit BlockRun(const std::vector<int>& works) : works_(works) {
    for (int work : works) events_.push_back(EventsOf(work));
    before_.resize(works.size());
    while (Advance()) {
    }
  }
  bool Ends() const {
    for (size_t b = 0; b < works_.size(); ++b) {
      if (before_[b].size() < events_[b].size()) return false;
    }
    return true;
  }
  // Whether each read of a vector comes before every other block's next write of it.
  bool IsSafe() const {
    for (size_t b = 0; b < works_.size(); ++b) {
      for (size_t i = 0; i < events_[b].size(); ++i) {
        const Event& read = events_[b][i];
        for (size_t w = 0; w < works_.size() && !read.writes; ++w) {
          const size_t next = Find(w, {true, read.vector, read.layer + 1});
          if (w != b && next < events_[w].size() && before_[w][next][b] <= i) return false;
        }
      }
    }
    return true;
  }

 private:
  size_t Find(size_t block, const Event& event) const {
    return static_cast<size_t>(std::ranges::find(events_[block], event) - events_[block].begin());
  }
  // Goes on with every block as far as what it reads is there; how many events of each block are
  // known to lie before an event, or to be it.
  bool Advance() {
    bool moved = false;
    for (size_t b = 0; b < works_.size(); ++b) {
      while (before_[b].size() < events_[b].size()) {
        std::vector<size_t> known =
            before_[b].empty() ? std::vector<size_t>(works_.size()) : before_[b].back();
        const Event& event = events_[b][before_[b].size()];
        bool there = true;
        for (size_t w = 0; w < works_.size() && !event.writes; ++w) {
          if ((works_[w] & kWriters[static_cast<size_t>(event.vector)]) == 0) continue;
          const size_t write = Find(w, {true, event.vector, event.layer});
          there = there && write < before_[w].size();
          if (!there) break;
          for (size_t c = 0; c < known.size(); ++c) {
            known[c] = std::max(known[c], before_[w][write][c]);
          }
        }
        if (!there) break;
        known[b] = before_[b].size() + 1;
        before_[b].push_back(std::move(known));
        moved = true;
      }
    }
    return moved;
  }

  std::vector<int> works_;
  std::vector<std::vector<Event>> events_;
  std::vector<std::vector<std::vector<size_t>>> before_;
};

constexpr int kTiles = kQkv | kO | kGateUp | kDown;

TEST(FusedHop, NoWordIsWrittenBeforeAllHaveReadIt) {
  for (int a : {kTiles, kTiles | kRouter, int{kAll}}) {
    for (int b : {kTiles, kTiles | kKeys, int{kAll}}) {
      const BlockRun run({a, b, kAll});
      ASSERT_TRUE(run.Ends()) << a << " " << b;
      EXPECT_TRUE(run.IsSafe()) << a << " " << b;
    }
  }
}

// So the plan gives every block a tile of each.
TEST(FusedHop, ABlockWithTilesOfGateAndUpAloneCouldMissAnEpoch) {
  const BlockRun run({kGateUp, kAll, kAll});
  ASSERT_TRUE(run.Ends());
  EXPECT_FALSE(run.IsSafe());
}

}  // namespace
}  // namespace awq::cuda
