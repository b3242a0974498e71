ap_unit_test(gemm ap_tensor)
ap_unit_test(vecmath ap_tensor)
ap_unit_test(reduce ap_tensor)
ap_unit_test(conv ap_tensor)

# Tests that count allocations (allocations.h): the linker sends the calls of our own objects through the counter.
function(ap_count_allocations name)
  target_link_options(test_${name} PRIVATE
    LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=posix_memalign)
endfunction()
ap_unit_test(params ap_tensor)
ap_count_allocations(params)
ap_unit_test(tape ap_tensor)
ap_count_allocations(tape)
ap_unit_test(op_linear ap_tensor)
ap_unit_test(op_elementwise ap_tensor)
ap_unit_test(op_reshape ap_tensor)
ap_unit_test(op_dropout ap_tensor)
ap_unit_test(op_softmax_cross_entropy ap_tensor)
