# Tests of the source tree itself: who includes whom, and that the checker sees what is forbidden.
add_test(NAME include_rules COMMAND ${CMAKE_SOURCE_DIR}/scripts/check_includes.sh)
add_test(NAME include_rules_are_checked COMMAND ${CMAKE_SOURCE_DIR}/scripts/check_includes_test.sh)
