ap_unit_test(schedule ap_algorithms)
# The verification of the program itself is tested here too: it is this layer's golden test.
ap_unit_test(algorithms ap_algorithms ap_tuning)
target_sources(test_algorithms PRIVATE ${PROJECT_SOURCE_DIR}/src/cli/verify_optimizers.c)
