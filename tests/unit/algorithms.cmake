ap_unit_test(schedule ap_algorithms)
ap_unit_test(algorithms ap_algorithms ap_tuning)
ap_unit_test(algorithm_tables ap_algorithms ap_tuning)
ap_unit_test(algorithm_twins ap_algorithms ap_tuning)
# The verification of the program itself is tested here too: it is this layer's golden test.
ap_unit_test(verify_optimizers ap_algorithms ap_tuning)
target_sources(test_verify_optimizers PRIVATE ${PROJECT_SOURCE_DIR}/src/cli/verify_optimizers.c
  ${PROJECT_SOURCE_DIR}/src/cli/verify_settings.c)

# The rules' kernels are compiled for three instruction sets and picked when a program starts, so no test can choose: here the whole layer is compiled for
# one set at a time, and the programs must print the same bits.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  get_target_property(files ap_algorithms SOURCES)
  list(FILTER files INCLUDE REGEX "^[a-z0-9_]+\\.c$") # the others are embedded texts
  list(TRANSFORM files PREPEND ${PROJECT_SOURCE_DIR}/src/algorithms/)
  set(programs $<TARGET_FILE:test_algorithm_bits>)
  ap_unit_test(algorithm_bits ap_algorithms ap_tuning)
  foreach(set sse2 avx2 avx512f)
    add_library(algorithms_${set} STATIC ${files})
    target_compile_definitions(algorithms_${set} PRIVATE AP_RULE_CLONES=)
    target_compile_options(algorithms_${set} PRIVATE -m${set})
    target_link_libraries(algorithms_${set} PUBLIC ap_submission ap_base)
    add_executable(algorithm_bits_${set} test_algorithm_bits.c)
    target_include_directories(algorithm_bits_${set} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
    # ap_algorithms behind it: for the embedded search spaces alone
    target_link_libraries(algorithm_bits_${set} PRIVATE algorithms_${set} ap_tuning ap_algorithms)
    list(APPEND programs $<TARGET_FILE:algorithm_bits_${set}>)
  endforeach()
  list(JOIN programs "," programs)
  set_tests_properties(unit.algorithm_bits PROPERTIES ENVIRONMENT "PROGRAMS=${programs}")
endif()
