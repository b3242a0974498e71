# ap_unit_test(NAME LIBRARIES...): unit/test_NAME.c, label `unit`; fixtures are found through AP_TEST_FIXTURES (the copies in tests/fixtures).
function(ap_unit_test name)
  add_executable(test_${name} test_${name}.c)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(test_${name} PRIVATE ${ARGN})
  target_compile_definitions(test_${name} PRIVATE AP_TEST_FIXTURES="${PROJECT_SOURCE_DIR}/tests/fixtures")
  add_test(NAME unit.${name} COMMAND test_${name})
  set_tests_properties(unit.${name} PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 300)
endfunction()

# ap_mpi_test(NAME RANKS LIBRARIES...): mpi/test_NAME.c started with each number of ranks of the list RANKS ("1;2;4").
# mpi_launch is the one place with the flags that work as root on a small machine.
set(mpi_launch env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 mpirun --oversubscribe --bind-to none)
function(ap_mpi_test name ranks)
  add_executable(test_${name} test_${name}.c)
  target_include_directories(test_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(test_${name} PRIVATE ${ARGN})
  foreach(n ${ranks})
    add_test(NAME mpi.${name}.${n} COMMAND ${mpi_launch} -n ${n} $<TARGET_FILE:test_${name}>)
    set_tests_properties(mpi.${name}.${n} PROPERTIES LABELS mpi SKIP_RETURN_CODE 77 TIMEOUT 120 PROCESSORS 2)
  endforeach()
endfunction()
