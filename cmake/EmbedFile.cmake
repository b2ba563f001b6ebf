# awq_embed(TARGET SYMBOL FILE): puts FILE's bytes into a library or program. C++ sees them, in namespace
# awq, after
#   extern "C" const unsigned char awq_SYMBOL[];
#   extern "C" const size_t awq_SYMBOL_size;
# The assembler reads the file itself (.incbin), so a megabyte costs no compile time.
function(awq_embed target symbol file)
  cmake_path(ABSOLUTE_PATH file NORMALIZE)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/embed_${symbol}.S)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT [[
        .section .rodata
        .global awq_@symbol@
        .type awq_@symbol@, @object
        .balign 64
awq_@symbol@:
        .incbin "@file@"
awq_@symbol@_end:
        .byte 0
        .size awq_@symbol@, awq_@symbol@_end - awq_@symbol@
        .global awq_@symbol@_size
        .type awq_@symbol@_size, @object
        .balign 8
awq_@symbol@_size:
        .quad awq_@symbol@_end - awq_@symbol@
        .size awq_@symbol@_size, 8
        .section .note.GNU-stack, "", @progbits
]])
  enable_language(ASM)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${file})
  target_sources(${target} PRIVATE ${source})
endfunction()
