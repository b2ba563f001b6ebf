# One library per folder, linked only to the folders that docs/architecture.md allows it.
#   awq_library(NAME base SOURCES a.cc b.cc DEPS … LIBS … [TOGETHER])
# TOGETHER: eight sources are compiled as one, where templates take longer than the sources themselves;
# names in their anonymous namespaces must differ.
#   awq_tests(NAME base SOURCES a_test.cc … DEPS … LIBS …)    one test binary a folder

add_library(awq_options INTERFACE)
target_compile_options(awq_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wconversion;-Wno-sign-conversion;-Werror>
  # GCC 12 sees overlaps in std::string's operator+ that are not there (GCC bug 105651), and overruns
  # where precompiled headers hide that it is the library's; Clang and ASan look for those.
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict;-Wno-array-bounds;-Wno-stringop-overflow;-Wno-stringop-overread>)
target_include_directories(awq_options INTERFACE ${CMAKE_SOURCE_DIR})
if(AWQ_SANITIZE)
  target_compile_options(awq_options INTERFACE -fsanitize=${AWQ_SANITIZE} -fno-omit-frame-pointer
    # GCC 12 then sees uninitialised members in std::regex that are not there (GCC bug 105562).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(awq_options INTERFACE -fsanitize=${AWQ_SANITIZE})
endif()

function(awq_library)
  cmake_parse_arguments(A "TOGETHER" "NAME" "SOURCES;DEPS;LIBS" ${ARGN})
  add_library(awq_${A_NAME} STATIC ${A_SOURCES})
  list(TRANSFORM A_DEPS PREPEND awq_)
  target_link_libraries(awq_${A_NAME} PUBLIC ${A_DEPS} ${A_LIBS} awq_options)
  target_precompile_headers(awq_${A_NAME} REUSE_FROM awq_precompiled)
  if(A_TOGETHER AND AWQ_TOGETHER)
    set_target_properties(awq_${A_NAME} PROPERTIES UNITY_BUILD ON)
  endif()
endfunction()

function(awq_tests)
  if(NOT AWQ_TESTS)
    return()
  endif()
  cmake_parse_arguments(A "" "NAME" "SOURCES;DEPS;LIBS;LABELS" ${ARGN})
  add_executable(awq_${A_NAME}_test ${A_SOURCES})
  list(TRANSFORM A_DEPS PREPEND awq_)
  target_link_libraries(awq_${A_NAME}_test PRIVATE ${A_DEPS} ${A_LIBS} GTest::gtest_main awq_options)
  target_precompile_headers(awq_${A_NAME}_test REUSE_FROM awq_precompiled_tests)
  target_compile_definitions(awq_${A_NAME}_test PRIVATE
    AWQ_SOURCE_DIR="${CMAKE_SOURCE_DIR}" AWQ_TESTDATA="${CMAKE_SOURCE_DIR}/testdata")
  gtest_discover_tests(awq_${A_NAME}_test DISCOVERY_TIMEOUT 60 PROPERTIES LABELS "${A_LABELS}"
    TIMEOUT 600)
endfunction()

# awq_fuzz_target(text tokenizer): the program awq_tokenizer_fuzz from tokenizer_fuzz.cc, with libFuzzer.
# Where tests are built it is compiled alone, so that it does not fall behind.
function(awq_fuzz_target LIBRARY NAME)
  if(AWQ_TESTS)
    add_library(awq_${NAME}_fuzz OBJECT ${NAME}_fuzz.cc)
    target_link_libraries(awq_${NAME}_fuzz PRIVATE awq_${LIBRARY})
  endif()
  if(NOT AWQ_FUZZ)
    return()
  endif()
  add_executable(awq_${NAME}_fuzz ${NAME}_fuzz.cc)
  target_link_libraries(awq_${NAME}_fuzz PRIVATE awq_${LIBRARY})
  target_link_options(awq_${NAME}_fuzz PRIVATE -fsanitize=fuzzer)
endfunction()
