#include "awq/api/internal/run_identity.h"

#include <gtest/gtest.h>

namespace awq {
namespace {

TEST(WhyNotResumed, NamesBothBuildsBeforeAnythingElse) {
  const RawJson a = {{"program", "1"}, {"build", "0a"}, {"options", {{"seed", 0}}}};
  EXPECT_EQ(WhyNotResumed(a, a), "");
  RawJson b = a;
  b["options"]["seed"] = 7;
  EXPECT_EQ(WhyNotResumed(a, b), "options.seed: the interrupted run had 0, this one has 7");
  b["build"] = "1b";
  EXPECT_EQ(WhyNotResumed(a, b), "written by build 0a, this is build 1b");
  RawJson old = a;  // of a program that had no build in its journal
  old.erase("build");
  EXPECT_EQ(WhyNotResumed(old, a), "written by build without a name, this is build 0a");
}

}  // namespace
}  // namespace awq
