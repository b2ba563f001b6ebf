# awq_embed(TARGET SYMBOL FILE): puts FILE's bytes into a library or program. C++ sees them after
#   extern "C" const unsigned char awq_SYMBOL[];
#   extern "C" const size_t awq_SYMBOL_size;
# The assembler reads the file itself (.incbin), so a megabyte costs no compile time.
function(awq_embed target symbol file)
  cmake_path(ABSOLUTE_PATH file NORMALIZE)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/embed_${symbol}.cc)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[
__asm__(
    ".section .rodata\n"
    ".global awq_@symbol@\n"
    ".type awq_@symbol@, %object\n"
    ".balign 64\n"
    "awq_@symbol@:\n"
    ".incbin \"@file@\"\n"
    ".Lawq_@symbol@_end:\n"
    ".byte 0\n"
    ".global awq_@symbol@_size\n"
    ".type awq_@symbol@_size, %object\n"
    ".balign 8\n"
    "awq_@symbol@_size:\n"
    ".quad .Lawq_@symbol@_end - awq_@symbol@\n"
    ".previous\n");
]])
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${file} SKIP_PRECOMPILE_HEADERS ON
    SKIP_UNITY_BUILD_INCLUSION ON)
  target_sources(${target} PRIVATE ${source})
endfunction()
