ap_unit_test(schedule ap_algorithms)
ap_unit_test(algorithms ap_algorithms ap_tuning)
ap_unit_test(algorithm_twins ap_algorithms ap_tuning)
# The verification of the program itself is tested here too: it is this layer's golden test.
ap_unit_test(verify_optimizers ap_algorithms ap_tuning)
target_sources(test_verify_optimizers PRIVATE ${PROJECT_SOURCE_DIR}/src/cli/verify_optimizers.c
  ${PROJECT_SOURCE_DIR}/src/cli/verify_settings.c)
