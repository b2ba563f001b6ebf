# The build's identity: a hash of the sources and of how they are compiled, so that it is the same from a
# checkout and from an archive, and different as soon as a source is. Tests are not part of it.
#   awq_build_id(TARGET)    adds awq::kBuildId, in a source of its own; nothing else is compiled for it
# This file is also the script that writes that source when one of the others has changed.
function(awq_find_sources out)
  file(GLOB_RECURSE found ${ARGN} LIST_DIRECTORIES false
    ${root}/awq/*.cc ${root}/awq/*.h ${root}/awq/*.cu ${root}/awq/*.cuh ${root}/awq/*.inc
    ${root}/awq/CMakeLists.txt ${root}/cmake/*.cmake)
  list(APPEND found ${root}/CMakeLists.txt)
  list(FILTER found EXCLUDE REGEX "_test\\.(cc|cu)$")
  list(SORT found)
  set(${out} ${found} PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE)
  set(lines "${compiled_by}")
  awq_find_sources(sources)
  foreach(source ${sources})
    file(SHA256 ${source} hash)
    cmake_path(RELATIVE_PATH source BASE_DIRECTORY ${root})
    string(APPEND lines "${source} ${hash}\n")
  endforeach()
  string(SHA256 id "${lines}")
  string(SUBSTRING ${id} 0 12 id)
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[
#include "awq/api/internal/build_id.h"

namespace awq {
const char* const kBuildId = "@id@";
}  // namespace awq
]])
  return()
endif()

function(awq_build_id target)
  set(root ${CMAKE_SOURCE_DIR})
  set(output ${CMAKE_CURRENT_BINARY_DIR}/build_id.cc)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  set(compiled_by "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} ${CMAKE_SYSTEM_PROCESSOR} \
${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${type}} ${AWQ_SANITIZE} ${CMAKE_CUDA_COMPILER_VERSION} ${CMAKE_CUDA_FLAGS}")
  awq_find_sources(sources CONFIGURE_DEPENDS)
  add_custom_command(OUTPUT ${output} DEPENDS ${sources} VERBATIM COMMENT "Identifying the build"
    COMMAND ${CMAKE_COMMAND} -Droot=${root} -Doutput=${output} -Dcompiled_by=${compiled_by}
      -P ${CMAKE_CURRENT_FUNCTION_LIST_FILE})
  set_source_files_properties(${output} PROPERTIES SKIP_PRECOMPILE_HEADERS ON SKIP_UNITY_BUILD_INCLUSION ON)
  target_sources(${target} PRIVATE ${output})
endfunction()
