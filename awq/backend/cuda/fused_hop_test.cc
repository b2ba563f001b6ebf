// Why words of one bit of epoch are enough (fused_hop.cuh): whatever mixes of work blocks have, no
// word is written again before all who read it have done so. What a block of fused_layers.cuh does
// in turn is written down here once more, as reads and writes of vectors.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace awq::cuda {
namespace {

// What a block has, as bits: tiles of each linear, keys.
enum Work { kQkv = 1, kKeys = 2, kO = 4, kGateUp = 8, kDown = 16, kAll = 31 };
enum Vector {
  kVectorQkv,
  kVectorPartial,
  kVectorMixed,
  kVectorAttended,
  kVectorHidden,
  kVectorFed
};
constexpr std::array<int, 6> kWriters = {kQkv, kKeys, kKeys, kO, kGateUp, kDown};
constexpr int kLayers = 4;

struct Event {
  bool writes;
  int vector, layer;
  bool operator==(const Event&) const = default;
};

std::vector<Event> EventsOf(int work) {
  std::vector<Event> out;
  const bool normed = (work & (kQkv | kGateUp)) != 0;
  for (int l = 0; l < kLayers; ++l) {
    if (normed && l > 0) out.push_back({false, kVectorFed, l - 1});
    if ((work & kQkv) != 0) out.push_back({true, kVectorQkv, l});
    if ((work & kKeys) != 0) {
      out.push_back({false, kVectorQkv, l});
      out.push_back({true, kVectorPartial, l});
      out.push_back({false, kVectorPartial, l});
      out.push_back({true, kVectorMixed, l});
    }
    if ((work & kO) != 0) {
      out.push_back({false, kVectorMixed, l});
      out.push_back({true, kVectorAttended, l});
    }
    if (normed) out.push_back({false, kVectorAttended, l});
    if ((work & kGateUp) != 0) out.push_back({true, kVectorHidden, l});
    if ((work & kDown) != 0) {
      out.push_back({false, kVectorHidden, l});
      out.push_back({true, kVectorFed, l});
    }
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

TEST(FusedHop, NoWordIsWrittenBeforeAllHaveReadIt) {
  int mixes = 0;
  for (int a = 1; a <= kAll; ++a) {
    for (int b = a; b <= kAll; ++b) {
      for (int c = b; c <= kAll; ++c) {
        if ((a | b | c) != kAll) continue;  // a vector that nobody makes
        const BlockRun run({a, b, c});
        ASSERT_TRUE(run.Ends()) << a << " " << b << " " << c;
        EXPECT_TRUE(run.IsSafe()) << a << " " << b << " " << c;
        ++mixes;
      }
    }
  }
  EXPECT_EQ(mixes, 2801);
}

}  // namespace
}  // namespace awq::cuda
