// Expected: what Hugging Face tokenizers 0.22.1 writes after it has read the number.
#include "awq/text/format/score.h"

#include <gtest/gtest.h>

namespace awq {
namespace {

TEST(Score, IsReadAsHuggingFaceReadsIt) {
  EXPECT_EQ(ScoreOf("-10.901125101585983"), -10.901125101585984);
  EXPECT_EQ(ScoreOf("-14.167357307283499"), -14.1673573072835);
  EXPECT_EQ(ScoreOf("-12.983012037151601"), -12.9830120371516);
  EXPECT_EQ(ScoreOf("6.948674738744654e-237"), 6.948674738744653e-237);
  EXPECT_EQ(ScoreOf("-9.129825816118098e+157"), -9.129825816118099e+157);
}

TEST(Score, OfAnyForm) {
  EXPECT_EQ(ScoreOf("0"), 0.0);
  EXPECT_EQ(ScoreOf("-100"), -100.0);
  EXPECT_EQ(ScoreOf("1e-5"), 1e-5);
  EXPECT_EQ(ScoreOf("1E+2"), 100.0);
  EXPECT_EQ(ScoreOf("4.9e-324"), 5e-324);
  EXPECT_EQ(ScoreOf("1.7976931348623157e308"), 1.7976931348623157e308);
  EXPECT_EQ(ScoreOf("123456789012345678901234567890"), 1.2345678901234568e29);
  EXPECT_EQ(ScoreOf("0.1234567890123456789012345"), 0.12345678901234568);
  EXPECT_EQ(ScoreOf("12345678901234567890.5"), 1.2345678901234567e19);
}

}  // namespace
}  // namespace awq
