ap_unit_test(idx ap_data)
ap_unit_test(batch ap_data)
ap_unit_test(packer ap_data)
ap_unit_test(dataset ap_data)
ap_unit_test(queue ap_data)
# The queue promises to allocate nothing in the steady state: its test counts.
target_link_options(test_queue PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc)
target_compile_definitions(test_packer PRIVATE PACKED_PY="${PROJECT_SOURCE_DIR}/tests/unit/packed.py")
ap_unit_test(synthetic_cache ap_data)
