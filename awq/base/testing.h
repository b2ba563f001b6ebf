// What tests of all folders share: catching an Error and looking at it.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "awq/base/error.h"

namespace awq {

// `body` must throw an Error with that code, whose message is one line that contains all of
// `parts`.
template <typename Body>
void ExpectError(ErrorCode code, std::initializer_list<std::string_view> parts, const Body& body) {
  try {
    body();
  } catch (const Error& e) {
    const std::string message = e.what();
    EXPECT_EQ(ErrorCodeName(e.code()), ErrorCodeName(code)) << message;
    EXPECT_EQ(message.find('\n'), message.npos) << message;
    for (const std::string_view part : parts) {
      EXPECT_NE(message.find(part), message.npos)
          << "expected \"" << part << "\" in: " << message.substr(0, 500);
    }
    return;
  }
  ADD_FAILURE() << "expected an error: " << ErrorCodeName(code);
}

}  // namespace awq
