# Headers that most sources include, parsed once. Sources still include what they use: a build with
# -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON (clang-tidy takes one) shows where they do not.
set(AWQ_STANDARD_HEADERS <algorithm> <array> <cmath> <cstdint> <cstring> <filesystem> <functional> <map> <memory> <optional>
  <span> <string> <string_view> <vector> <nlohmann/json.hpp>)
set(AWQ_NOTHING ${CMAKE_BINARY_DIR}/precompiled/nothing.cc)
file(CONFIGURE OUTPUT ${AWQ_NOTHING} CONTENT "int main() { return 0; }\n")

# Libraries and programs are compiled with different options for their place in memory, so each kind has its own.
add_library(awq_precompiled OBJECT ${AWQ_NOTHING})
target_precompile_headers(awq_precompiled PRIVATE ${AWQ_STANDARD_HEADERS})
target_link_libraries(awq_precompiled PRIVATE awq_options nlohmann_json::nlohmann_json Threads::Threads)
if(AWQ_TESTS)
  add_executable(awq_precompiled_tests ${AWQ_NOTHING})
  set_target_properties(awq_precompiled_tests PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/precompiled)
  target_precompile_headers(awq_precompiled_tests PRIVATE ${AWQ_STANDARD_HEADERS} <gtest/gtest.h>)
  target_link_libraries(awq_precompiled_tests PRIVATE awq_options nlohmann_json::nlohmann_json Threads::Threads GTest::gtest)
endif()
