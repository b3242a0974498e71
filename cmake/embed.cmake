# ap_embed(TARGET FILE SYMBOL): makes the text of FILE a constant string `const char SYMBOL[]` of TARGET, so that the
# installed program needs no data files beside it and cannot disagree with them.
function(ap_embed target file symbol)
  get_filename_component(path ${file} ABSOLUTE)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${symbol}.c)
  add_custom_command(OUTPUT ${out} DEPENDS ${path} ${PROJECT_SOURCE_DIR}/cmake/embed_file.cmake
    COMMAND ${CMAKE_COMMAND} -DINPUT=${path} -DOUTPUT=${out} -DSYMBOL=${symbol} -P ${PROJECT_SOURCE_DIR}/cmake/embed_file.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
